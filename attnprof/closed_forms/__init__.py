"""Closed forms of counts: derived by one symbolic trace, or by exact interpolation through integers."""
