"""Records to page, figure and table: what a reader sees, computed from the records alone."""

from attnprof.render.page import write_page

__all__ = ["write_page"]
