"""Questions that the natural-language database tools are judged by, and how an answer is judged."""
