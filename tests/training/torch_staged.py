"""`tiny.StagedNet` and its losses in PyTorch, written from the definitions."""

import jax
import numpy as np
import torch
from torch.nn import functional


class TorchStaged:
    """Parameters by our names; kernels are kept in our layout and turned when used."""

    def __init__(self, state):
        self._state = state
        self._params = jax.tree.map(
            lambda leaf: torch.from_numpy(leaf.copy()).requires_grad_(), state.params
        )
        self._trained = set()

    def params(self):
        """The parameters as NumPy arrays."""
        return jax.tree.map(lambda leaf: leaf.detach().numpy(), self._params)

    def heads(self):
        """What is trained from the start."""
        rooms = (self._params[name] for name in ("neck", "cls", "loc"))
        return [leaf for room in rooms for leaf in jax.tree.leaves(room)]

    def stage(self, name):
        """The parameters of one stage."""
        return jax.tree.leaves(self._params["backbone"][name])

    def join(self, name):
        """Lets the batch norm of a stage use the batch."""
        self._trained.add(name)

    def _norm(self, x, params, stats, train):
        mean, var = (torch.from_numpy(np.array(stats[name])) for name in ("mean", "var"))
        return functional.batch_norm(
            x, mean, var, params["scale"], params["bias"], training=train, eps=1e-5
        )

    def _features(self, image):
        x = torch.from_numpy(image).permute(0, 3, 1, 2) / 64
        for name, stride in (("layer1", 8), ("layer2", 1)):
            params = self._params["backbone"][name]
            stats = self._state.batch_stats["backbone"][name]["bn"]
            kernel = params["conv"]["kernel"].permute(3, 2, 0, 1)
            x = functional.conv2d(x, kernel, stride=stride)
            x = self._norm(x, params["bn"], stats, name in self._trained)
            x = x.relu() if name == "layer1" else x
        neck = self._state.batch_stats["neck"]
        return self._norm(x, self._params["neck"], neck, True).relu()

    def loss(self, batch):
        """cls + 1.2 * loc, the mean over the batch."""
        kernel, x = self._features(batch.template), self._features(batch.search)
        b, c, k, _ = kernel.shape
        maps = functional.conv2d(
            x.reshape(1, b * c, *x.shape[2:]), kernel.reshape(b * c, 1, k, k), groups=b * c
        )
        maps = maps.reshape(b, c, *maps.shape[2:])

        def output(name, values):
            head = self._params[name]
            y = functional.conv2d(maps, head["kernel"].permute(3, 2, 0, 1), head["bias"])
            y = y.permute(0, 2, 3, 1)
            return y.reshape(*y.shape[:3], 2, values)

        logits, label = output("cls", 2), torch.from_numpy(batch.label_cls).long()
        cls = sum(
            0.5 * functional.cross_entropy(logits[label == kind], label[label == kind])
            for kind in (0, 1)
        )
        distance = (output("loc", 4) - torch.from_numpy(batch.label_loc)).abs().sum(-1)
        return cls + 1.2 * (distance * torch.from_numpy(batch.label_loc_weight)).sum() / b
