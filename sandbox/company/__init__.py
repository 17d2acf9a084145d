"""The one simulated company whose truth is known."""
