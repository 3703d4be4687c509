"""The batch APIs of a mock endpoint, as the services' own clients see them, and its ledger of their rows."""

import sys
from collections import Counter

import anyio
import orjson

from semprop.tools.endpoint import Endpoint, parse, serving
from tests.tools.test_official_sdks import TEXT

# Each program sends four requests as one batch, one of them broken, waits, and prints what its client read.

OPENAI = """
import io, json, sys
import openai
url, = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
def line(name, **more):
    body = {"model": "m", "messages": [{"role": "user", "content": name}], **more}
    return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})
lines = "\\n".join([line("a"), line("b"), line("c"), line("d", top_k=1)])
file = client.files.create(file=("in.jsonl", io.BytesIO(lines.encode())), purpose="batch")
assert client.files.retrieve(file.id).bytes == len(lines)
assert client.files.content(file.id).text == lines
assert [each.id for each in client.files.list(purpose="batch")] == [file.id]
batch = client.batches.create(
    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"tag": "t"}
)
seen = [batch.status]
while client.batches.retrieve(batch.id).status not in ("completed", "expired", "failed", "cancelled"):
    pass  # Each look is a call that waits for its answer.
batch = client.batches.retrieve(batch.id)
(found,) = [each for each in client.batches.list(limit=1) if (each.metadata or {}).get("tag") == "t"]
assert found.id == batch.id
rows = {}
for name in (batch.output_file_id, batch.error_file_id):
    for text in client.files.content(name).text.splitlines() if name else []:
        row = json.loads(text)
        rows[row["custom_id"]] = row["response"]["status_code"]
        if row["response"]["status_code"] == 200:
            reply = openai.types.chat.ChatCompletion.model_validate(row["response"]["body"])
            assert reply.choices[0].message.content
counts = batch.request_counts
assert client.files.delete(file.id).deleted
try:
    client.batches.cancel(batch.id)
except openai.ConflictError as error:
    refused = error.status_code
print(json.dumps([seen, batch.status, [counts.total, counts.completed, counts.failed], rows, refused]))
"""

ANTHROPIC = """
import json, sys
import anthropic
url, = sys.argv[1:]
client = anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="k", max_retries=0)
def asked(name, **more):
    params = dict(model="m", max_tokens=20, messages=[{"role": "user", "content": name}], **more)
    return {"custom_id": name, "params": params}
batch = client.messages.batches.create(requests=[asked("a"), asked("b"), asked("c"), asked("d", top_k=1)])
seen = [batch.processing_status]
while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    pass  # Each look is a call that waits for its answer.
batch = client.messages.batches.retrieve(batch.id)
assert [each.id for each in client.messages.batches.list(limit=1)] == [batch.id]
rows = {}
for row in client.messages.batches.results(batch.id):
    rows[row.custom_id] = row.result.type
    if row.result.type == "succeeded":
        assert row.result.message.content[0].text
counts = batch.request_counts
assert client.messages.batches.cancel(batch.id).id == batch.id
refused = client.messages.batches.delete(batch.id).type
print(json.dumps([seen, batch.processing_status, [counts.succeeded, counts.errored, counts.expired], rows, refused]))
"""

TOP = 'refuses = ["top_k"]\n'
SETTINGS = "[batch]\nseconds = 0.1\n"


def endpoint(dialect, more=SETTINGS):
    return Endpoint(parse(f'{TOP}[reply]\ntext = "{TEXT}"\n[headers]\ndialect = "{dialect}"\n{more}'))


async def printed(program, url):
    done = await anyio.run_process([sys.executable, "-c", program, url], stderr=None)
    return orjson.loads(done.stdout)


async def test_the_official_openai_client_sends_a_batch_and_reads_it_back():
    async with serving(endpoint("openai")) as served:
        seen, status, counts, rows, refused = await printed(OPENAI, served.url)
        ledger = [orjson.loads(line) for line in b"".join(served.endpoint.ledger.lines()).splitlines()]
    assert seen == ["validating"]
    assert status == "completed"
    assert counts == [4, 3, 1]
    assert rows == {"a": 200, "b": 200, "c": 200, "d": 400}
    assert refused == 409
    assert Counter(row["batch"] for row in ledger) == {"batch_000001": 4}


async def test_the_official_anthropic_client_sends_a_batch_and_reads_it_back():
    async with serving(endpoint("anthropic")) as served:
        seen, status, counts, rows, refused = await printed(ANTHROPIC, served.url)
        ledger = [orjson.loads(line) for line in b"".join(served.endpoint.ledger.lines()).splitlines()]
    assert seen == ["in_progress"]
    assert status == "ended"
    assert counts == [3, 1, 0]
    assert rows == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "errored"}
    assert refused == "message_batch_deleted"
    assert Counter(row["batch"] for row in ledger) == {"msgbatch_000001": 4}
