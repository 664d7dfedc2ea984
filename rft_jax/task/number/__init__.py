"""Numbers as people and models write them: plain text, then tokens, then a small grammar."""
