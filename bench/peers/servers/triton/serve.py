"""Triton: its binary from the wheel of pytriton, with the model in the Python back end, batches of ragged rows and CPU instances."""

import json
import os
import pathlib
import shutil
import sys
import sysconfig

import pytriton

CONFIG = """
backend: "python"
max_batch_size: {rowsMax}
input [{{ name: "input_ids" data_type: TYPE_INT64 dims: [-1] allow_ragged_batch: true }}]
output [{{ name: "sentence_embedding" data_type: TYPE_FP32 dims: [384] }}]
instance_group [{{ count: {workers} kind: KIND_CPU }}]
dynamic_batching {{
  max_queue_delay_microseconds: {waitUs}
  default_queue_policy {{ timeout_action: REJECT default_timeout_microseconds: {timeoutUs} max_queue_size: {requestsMax} }}
}}
"""


def build_repository(folder, settings):
    model = folder / "encoder"
    (model / "1").mkdir(parents=True, exist_ok=True)
    values = {**settings, "waitUs": settings["waitMs"] * 1000, "timeoutUs": settings["timeoutMs"] * 1000}
    (model / "config.pbtxt").write_text(CONFIG.format(**values))
    shutil.copy(pathlib.Path(__file__).with_name("model.py"), model / "1")


if __name__ == "__main__":
    package = pathlib.Path(pytriton.__file__).parent
    triton = package / "tritonserver"
    repository = pathlib.Path(sys.prefix) / "repository"
    stubs = triton / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    # The back end looks for the program of its processes beside itself; the wheel has one for each version of Python.
    shutil.copy(stubs / "triton_python_backend_stub", triton / "backends" / "python")
    build_repository(repository, json.loads(os.environ["PEER_SETTINGS"]))
    servers = pathlib.Path(__file__).resolve().parent.parent
    environment = {
        "LD_LIBRARY_PATH": f"{package.parent / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}",
        "PYTHONHOME": sys.base_prefix,
        "PYTHONPATH": f"{sysconfig.get_path('purelib')}:{servers}",
    }
    options = {
        "model-repository": repository,
        "backend-directory": triton / "backends",
        "http-address": "127.0.0.1",
        "http-port": os.environ["PEER_PORT"],
        "allow-grpc": "false",
        "allow-metrics": "false",
    }
    program = str(triton / "bin" / "tritonserver")
    os.execve(program, [program, *(f"--{name}={value}" for name, value in options.items())], {**os.environ, **environment})
