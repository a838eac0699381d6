"""Records to page, figure and table: what a reader sees, computed from the records alone."""

from attnprof.render.page import write_page
from attnprof.render.paper import venues, write_paper

__all__ = ["venues", "write_page", "write_paper"]
