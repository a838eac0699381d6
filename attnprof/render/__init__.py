"""Records to page, figure and table: what a reader sees, computed from the records alone."""

from attnprof.render.page import write_page
from attnprof.render.paper import venues, write_paper
from attnprof.render.single import drawn_figure, figure_svg

__all__ = ["drawn_figure", "figure_svg", "venues", "write_page", "write_paper"]
