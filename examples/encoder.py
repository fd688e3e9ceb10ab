"""A BERT of Hugging Face's transformers, small and untrained, run in int8 beside its float self.

A trained one, all-MiniLM-L6-v2 for instance, takes the same way: replace `BertModel(config)` by
`AutoModel.from_pretrained(...)`, and the random tokens by what its tokenizer makes of sentences.

    pip install transformers
    python examples/encoder.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import smidgen

WORDS, LENGTH = 1000, 24


class SentenceEncoder(nn.Module):
    """What a tokenizer makes of sentences in, all [N, L]; a vector for each out, [N, 64]."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=WORDS,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=LENGTH,
        )
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Averages the vectors of the tokens that the mask keeps."""
        tokens = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean: Tensor = (tokens * mask).sum(1) / mask.sum(1)
        return mean


def sentences(count: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Returns token ids of sentences of several lengths, and what of them is padding."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(4, LENGTH + 1, count)
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": draw.integers(1, WORDS, (count, LENGTH)) * mask,
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
    }


def export(model: nn.Module, path: Path) -> None:
    """Writes the encoder for any number of sentences."""
    example = {name: torch.from_numpy(values) for name, values in sentences(2, seed=0).items()}
    # Without an upper bound the mask is exported with operators that are not supported.
    batch = {0: torch.export.Dim("batch", max=1024)}
    exported = torch.export.export(model, (), example, dynamic_shapes=dict.fromkeys(example, batch))
    torch.export.save(exported, path)


def main() -> int:
    """Exports, converts without a server, and compares vectors; returns 0."""
    torch.manual_seed(0)
    model = SentenceEncoder().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.pt2"
        export(model, path)
        conversion = smidgen.quantize(path, calibration=sentences(64, seed=1))
    test = sentences(100, seed=2)
    (vectors,) = smidgen.Engine(conversion.program).run(test).values()
    with torch.inference_mode():
        in_float = model(*map(torch.from_numpy, test.values())).numpy()
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(in_float, axis=1)
    cosines = (vectors * in_float).sum(axis=1) / lengths
    report = conversion.report
    print(f"cosine of int8 and float vectors: {cosines.mean():.4f}, at least {cosines.min():.4f}")
    print(f"{report.artifact_bytes:,} bytes for {report.float_bytes:,}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
