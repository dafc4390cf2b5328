"""What can be added by name: mixers, joins and models.

Each is one file that registers what it holds, here or in another package, which names
its module under the entry-point group. Families (`envs.registry`), algorithms
(`icrl.algorithms.registry`), tokenizers (`icrl.tokenizers.registry`) and experiments
(`icrl.experiment`) have registries of the same kind. Nothing here imports jax: configs
look their names up where they are made.
"""

from typing import Any

from envs.registry import Registry

# name -> `mixer(config, rngs=rngs)`, an `icrl.models.Mixer`
MIXERS: Registry[Any] = Registry(
    "mixer", "icrl.mixers", "icrl.models.mixers", named_by_file=True
)
# name -> `join(config, rngs=rngs)`, called with a stream and what is added to it
JOINS: Registry[Any] = Registry(
    "join", "icrl.joins", "icrl.models.joins", named_by_file=True
)
# name of a config's class -> the class, an `icrl.models.ModelConfig`
MODELS: Registry[Any] = Registry("model", "icrl.models", "icrl.models")
