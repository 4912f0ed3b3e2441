"""Result pages: HTML, Markdown, figures, and the command that repeats a fit."""
