"""Every call of tritonclient.http and tritonclient.http.aio to a running node, as a table.

    python triton_http.py HOST:PORT

The node serves the models no-batch and classifier of tools/model-builder, and has http.sharedMemory on. Ends with 1 when a call
gives anything but the expected answer, or an error that does not say "not supported" in our words.
"""
import asyncio
import sys

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

X = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
Y = np.array([10, 20, 30], dtype=np.float32)
SUM = X + Y


def tensors(binary=True):
    x, y = http.InferInput("x", [2, 3], "FP32"), http.InferInput("y", [3], "FP32")
    x.set_data_from_numpy(X, binary_data=binary)
    y.set_data_from_numpy(Y, binary_data=binary)
    return [x, y]


def big(rows=3000):
    """Large enough for a compressed answer."""
    ids = np.tile(np.array([2, 9, 3], dtype=np.int64), (rows, 1))
    inputs = [http.InferInput(name, list(ids.shape), "INT64") for name in ("input_ids", "attention_mask")]
    inputs[0].set_data_from_numpy(ids)
    inputs[1].set_data_from_numpy(np.ones_like(ids))
    return inputs


def is_sum(result):
    assert np.array_equal(result.as_numpy("sum"), SUM), result.get_response()


def infer_calls(infer):
    async def plain():
        is_sum(await infer("no-batch", tensors()))

    async def json():
        is_sum(await infer("no-batch", tensors(False), outputs=[http.InferRequestedOutput("sum", binary_data=False)]))

    async def compressed(algorithm):
        is_sum(await infer("no-batch", tensors(), request_compression_algorithm=algorithm, response_compression_algorithm=algorithm))
        plain, packed = await infer("classifier", big()), await infer(
            "classifier", big(), request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
        )
        assert np.array_equal(plain.as_numpy("logits"), packed.as_numpy("logits"))

    async def classes():
        answer = await infer("classifier", big(2), outputs=[http.InferRequestedOutput("logits", class_count=2)])
        logits = (await infer("classifier", big(2))).as_numpy("logits")
        best = np.argsort(-logits, axis=1, kind="stable")[:, :2]
        told = [[int(text.split(b":")[1]) for text in row] for row in answer.as_numpy("logits")]
        assert told == best.tolist(), (told, best)

    async def priority():
        is_sum(await infer("no-batch", tensors(), priority=1, timeout=5_000_000, request_id="mine"))

    async def sequence():
        await infer("no-batch", tensors(), sequence_id=7, sequence_start=True, sequence_end=True)

    return {
        "infer, binary": plain,
        "infer, JSON": json,
        "infer, gzip both ways": lambda: compressed("gzip"),
        "infer, deflate both ways": lambda: compressed("deflate"),
        "infer, class_count": classes,
        "infer, priority, timeout and request_id": priority,
        "infer, sequence_id": sequence,
    }


def calls(client, is_async):
    async def call(name, *args, **more):
        value = getattr(client, name)(*args, **more)
        return await value if is_async else value

    def checked(name, *args, check=lambda value: True, **more):
        async def run():
            value = await call(name, *args, **more)
            assert check(value), value

        return run

    async def shared():
        handle = shm.create_shared_memory_region("r", "/il-check", 48)
        try:
            shm.set_shared_memory_region(handle, [X])
            await call("register_system_shared_memory", "r", "/il-check", 48)
            [status] = await call("get_system_shared_memory_status")
            assert status == {"name": "r", "key": "/il-check", "offset": 0, "byte_size": 48}, status
            assert len(await call("get_system_shared_memory_status", "r")) == 1
            x, y = tensors()
            x.set_shared_memory("r", 24)
            output = http.InferRequestedOutput("sum")
            output.set_shared_memory("r", 24, 24)
            answer = await call("infer", "no-batch", [x, y], outputs=[output])
            shape = answer.get_output("sum")["shape"]
            assert np.array_equal(shm.get_contents_as_numpy(handle, np.float32, shape, 24), SUM)
            await call("unregister_system_shared_memory", "r")
            await call("unregister_system_shared_memory")
            assert await call("get_system_shared_memory_status") == []
        finally:
            shm.destroy_shared_memory_region(handle)

    async def own_body():
        body, size = http.InferenceServerClient.generate_request_body(tensors())
        assert size is not None and len(body) > size
        http.InferenceServerClient.parse_response_body(b'{"model_name": "m", "outputs": []}')

    async def later():
        is_sum(client.async_infer("no-batch", tensors()).get_result())

    statistics = lambda model: lambda value: all(
        entry["inference_count"] >= 0 and entry["inference_stats"]["success"]["count"] >= 0 for entry in value["model_stats"]
    ) and (not model or [entry["name"] for entry in value["model_stats"]] == [model])
    return {
        "is_server_live": checked("is_server_live", check=lambda value: value is True),
        "is_server_ready": checked("is_server_ready", check=lambda value: value is True),
        "is_model_ready": checked("is_model_ready", "no-batch", check=lambda value: value is True),
        "is_model_ready, of a version": checked("is_model_ready", "no-batch", "1", check=lambda value: value is True),
        "is_model_ready, of no model": checked("is_model_ready", "none", check=lambda value: value is False),
        "get_server_metadata": checked("get_server_metadata", check=lambda value: "statistics" in value["extensions"]),
        "get_model_metadata": checked("get_model_metadata", "classifier", check=lambda value: value["outputs"][0]["shape"][0] == -1),
        "get_model_config": checked(
            "get_model_config", "classifier", check=lambda value: value["max_batch_size"] > 0 and value["output"][0]["dims"] == [3]
        ),
        "get_model_repository_index": checked(
            "get_model_repository_index", check=lambda value: {"name": "no-batch", "version": "1", "state": "READY", "reason": ""} in value
        ),
        **infer_calls(lambda *args, **more: call("infer", *args, **more)),
        **({} if is_async else {"async_infer": later}),
        "generate_request_body, parse_response_body": own_body,
        "get_inference_statistics": checked("get_inference_statistics", check=statistics(None)),
        "get_inference_statistics, of a model": checked("get_inference_statistics", "no-batch", "1", check=statistics("no-batch")),
        "system shared memory: register, status, infer, unregister": shared,
        "load_model": checked("load_model", "no-batch"),
        "unload_model": checked("unload_model", "no-batch"),
        "get_trace_settings": checked("get_trace_settings"),
        "update_trace_settings": checked("update_trace_settings", "no-batch", {"trace_level": ["OFF"]}),
        "get_log_settings": checked("get_log_settings"),
        "update_log_settings": checked("update_log_settings", {"log_info": True}),
        "get_cuda_shared_memory_status": checked("get_cuda_shared_memory_status"),
        "register_cuda_shared_memory": checked("register_cuda_shared_memory", "r", b"x", 0, 8),
        "unregister_cuda_shared_memory": checked("unregister_cuda_shared_memory"),
    }


#: What must be refused, each in words that say so.
REFUSED = {"infer, sequence_id": "keep no state", "*": "does not have"}


async def verdict(run):
    try:
        await run()
        return "works"
    except InferenceServerException as error:
        if any(words in error.message() for words in REFUSED.values()):
            return f"not supported: {error.status() or 'error'}"
        return f"WRONG: {error.message()}"
    except Exception as error:
        return f"WRONG: {type(error).__name__} {error}"


async def main():
    address = sys.argv[1]
    with_threads = http.InferenceServerClient(address, concurrency=2)
    with_tasks = aio.InferenceServerClient(address)
    first = {name: await verdict(run) for name, run in calls(with_threads, False).items()}
    second = {name: await verdict(run) for name, run in calls(with_tasks, True).items()}
    await with_tasks.close()
    with_threads.close()
    print("| call | `tritonclient.http` | `tritonclient.http.aio` |\n|---|---|---|")
    for name, said in first.items():
        print(f"| {name} | {said} | {second.get(name, 'has no such call')} |")
    sys.exit(any("WRONG" in said for said in [*first.values(), *second.values()]))


if __name__ == "__main__":
    asyncio.run(main())
