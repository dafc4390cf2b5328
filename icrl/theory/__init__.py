"""Lin, Bai and Mei's theory as weights: transformers that run algorithms in context.

`stream` names coordinates, `gadgets` says what heads and units can do, and `compiler`
makes of layers the module that is trained elsewhere. What is built:

    linucb               soft LinUCB; 29 layers by Newton-Schulz, as the digits double,
                         or one for each step of gradient descent (their proof)
    linear_thompson      by a draw in the token, exact; or by nodes, without a draw
    bernoulli_thompson   by quadrature, in six layers
    ucb_vi               soft UCB-VI, exact

What differs from the proofs stands in each module. `lai_robbins` is a lower bound.

Source: Lin, Bai and Mei 2023, "Transformers as Decision Makers", arXiv 2310.08566.
"""
