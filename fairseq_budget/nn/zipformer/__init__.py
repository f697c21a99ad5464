"""The Zipformer of k2SSL, in plain torch."""
