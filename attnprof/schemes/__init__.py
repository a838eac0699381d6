"""Schemes whose maths is their own, one file each, named as in `patterns/`."""
