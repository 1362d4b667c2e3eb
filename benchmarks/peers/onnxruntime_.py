"""ONNX Runtime: an encoder that our exporter wrote, as it is or with dynamic int8."""

import numpy
import onnxruntime
from turn import asked, serve

told = asked()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = told["threads"], 1
session = onnxruntime.InferenceSession(told["model"], options, providers=["CPUExecutionProvider"])
ids = numpy.array(told["ids"], dtype=numpy.int64)
known = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
given = {each.name: known[each.name] for each in session.get_inputs()}


def run() -> int:
    """One batch read."""
    session.run(None, given)
    return len(ids)


serve(run)
