"""The web page of `mono2many serve`."""
