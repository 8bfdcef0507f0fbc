"""What notebooks show: the HTML, in a browser, and the notebook in `examples`."""
