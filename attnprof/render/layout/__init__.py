"""Figures as display lists: where every stroke, dot and text lies. No back end places anything."""
