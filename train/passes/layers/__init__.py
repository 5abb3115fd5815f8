"""The compiled pass for models of several layers or with a layer norm, its gradient written by hand."""
