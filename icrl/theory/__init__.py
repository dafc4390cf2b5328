"""Lin, Bai and Mei's theory, measured on trained models.

A model that is fitted to an expert's labels on the histories of a context algorithm
earns about what the reduced expert earns, by a chain of inequalities: how near their
action probabilities are on the context's histories, how much that says of the expert's
own histories, and what it costs in reward. Each link is a number that can be measured.

Source: Lin, Bai and Mei 2023, "Transformers as Decision Makers", arXiv 2310.08566.
"""
