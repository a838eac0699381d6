"""What draws display lists: SVG, plotly, TikZ, matplotlib."""
