"""What stands before every route: who asks, from where, within which limits, and what every answer tells the browser."""
