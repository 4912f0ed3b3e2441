"""Tables of a screen: layouts, and every rule of their validation."""
