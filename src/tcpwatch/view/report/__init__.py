"""A recording on paper: one HTML file that needs nothing else, and the loop's picture as SVG."""
