"""The web console: pages for radiologists and admins, and the API under ``/api``."""
