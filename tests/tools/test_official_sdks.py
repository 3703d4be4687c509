"""The mock endpoint under clients that others wrote: the services' own SDKs, each in a process of its own.

What they read, whole and streamed, must be what the ledger says was sent; what they raise must be the exception that
their documentation names for that error.
"""

from __future__ import annotations

import sys

import anyio
import orjson
import pytest
from pictures import picture

from semprop.tools.endpoint import Endpoint, parse, serving

TEXT = "a reply of some words"

OPENAI = """
import json, sys
import openai
url, mode, data = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}}
content = [{"type": "text", "text": "hello"}, shown]
asked = dict(model="m", max_tokens=20, messages=[{"role": "user", "content": content}])
try:
    if mode == "stream":
        stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        text, usage, stop = "", None, None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text, stop = text + (choice.delta.content or ""), choice.finish_reason or stop
    else:
        reply = client.chat.completions.create(**asked)
        text, usage, stop = reply.choices[0].message.content, reply.usage, reply.choices[0].finish_reason
    print(json.dumps([text, stop, usage.prompt_tokens, usage.completion_tokens]))
except openai.APIError as error:
    print(json.dumps([type(error).__name__, getattr(error, "status_code", None)]))
"""

RESPONSES = """
import json, sys
import openai
url, mode, data = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
shown = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + data}
content = [{"type": "input_text", "text": "hello"}, shown]
asked = dict(model="m", max_output_tokens=20, input=[{"role": "user", "content": content}])
try:
    if mode == "stream":
        text = ""
        with client.responses.stream(**asked) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "error":
                    raise openai.APIError(event.message, None, body=None)
            reply = stream.get_final_response()
        assert text == reply.output_text
    else:
        reply = client.responses.create(**asked)
    print(json.dumps([reply.output_text, reply.status, reply.usage.input_tokens, reply.usage.output_tokens]))
except openai.APIError as error:
    print(json.dumps([type(error).__name__, getattr(error, "status_code", None)]))
"""

ANTHROPIC = """
import json, sys
import anthropic
url, mode, data = sys.argv[1:]
client = anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="k", max_retries=0)
source = {"type": "base64", "media_type": "image/png", "data": data}
content = [{"type": "text", "text": "hello"}, {"type": "image", "source": source}]
asked = dict(model="m", max_tokens=20, messages=[{"role": "user", "content": content}])
try:
    if mode == "stream":
        with client.messages.stream(**asked) as stream:
            text = "".join(stream.text_stream)
            reply = stream.get_final_message()
        assert text == reply.content[0].text
    else:
        reply = client.messages.create(**asked)
    print(json.dumps([reply.content[0].text, reply.stop_reason, reply.usage.input_tokens, reply.usage.output_tokens]))
except anthropic.APIError as error:
    print(json.dumps([type(error).__name__, getattr(error, "status_code", None)]))
"""

GEMINI = """
import base64, json, sys
from google import genai
from google.genai import errors, types
url, mode, data = sys.argv[1:]
options = types.HttpOptions(base_url=url.removesuffix("/v1"), api_version="v1")
client = genai.Client(api_key="k", http_options=options)
shown = types.Part.from_bytes(data=base64.b64decode(data), mime_type="image/png")
asked = dict(model="m", contents=["hello", shown], config=types.GenerateContentConfig(max_output_tokens=20))
try:
    if mode == "stream":
        text, reply = "", None
        for reply in client.models.generate_content_stream(**asked):
            text += reply.text or ""
    else:
        reply = client.models.generate_content(**asked)
        text = reply.text
    usage, stop = reply.usage_metadata, reply.candidates[0].finish_reason.value
    print(json.dumps([text, stop, usage.prompt_token_count, usage.candidates_token_count]))
except errors.APIError as error:
    print(json.dumps([type(error).__name__, error.code]))
"""

PROGRAMS = {
    "openai": (OPENAI, "openai", "stop"),
    "openai-responses": (RESPONSES, "openai", "completed"),
    "anthropic": (ANTHROPIC, "anthropic", "end_turn"),
    "google-genai": (GEMINI, "gemini", "STOP"),
}

every = pytest.mark.parametrize("name", PROGRAMS)


async def run(name, url, mode):
    """What a program prints when it is pointed at an address."""
    done = await anyio.run_process([sys.executable, "-c", PROGRAMS[name][0], url, mode, picture(300, 300).base64])
    return orjson.loads(done.stdout)


def config(dialect, more=""):
    return parse(f'[reply]\ntext = "{TEXT}"\n[headers]\ndialect = "{dialect}"\n{more}')


@every
@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_an_official_client_reads_what_the_ledger_says_was_sent(name, mode):
    _, dialect, stop = PROGRAMS[name]
    async with serving(Endpoint(config(dialect))) as served:
        read = await run(name, served.url, mode)
        (row,) = map(orjson.loads, b"".join(served.endpoint.ledger.lines()).splitlines())
    assert read == [TEXT, stop, row["input"], row["output"]]
    assert (row["images"], row["input"] > 300 * 300 / 750) == (1, True)


ERRORS = {
    ("openai", "throttle"): ["RateLimitError", 429],
    ("openai", "auth"): ["AuthenticationError", 401],
    ("openai", "server_error"): ["InternalServerError", 500],
    ("openai", "context"): ["BadRequestError", 400],
    ("openai-responses", "throttle"): ["RateLimitError", 429],
    ("anthropic", "throttle"): ["RateLimitError", 429],
    ("anthropic", "overloaded"): ["OverloadedError", 529],
    ("anthropic", "auth"): ["AuthenticationError", 401],
    ("anthropic", "context"): ["BadRequestError", 400],
    ("google-genai", "throttle"): ["ClientError", 429],
    ("google-genai", "overloaded"): ["ServerError", 503],
    ("google-genai", "context"): ["ClientError", 400],
}


@pytest.mark.parametrize(("name", "fault"), ERRORS, ids="-".join)
async def test_an_official_client_raises_what_its_documentation_names(name, fault):
    faulty = config(PROGRAMS[name][1], f'[[fault]]\nkind = "{fault}"\nshare = 1.0\n')
    async with serving(Endpoint(faulty)) as served:
        assert await run(name, served.url, "whole") == ERRORS[name, fault]


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_an_official_client_raises_for_an_error_after_200(name):
    faulty = config(PROGRAMS[name][1], '[[fault]]\nkind = "error_after_200"\nshare = 1.0\n')
    async with serving(Endpoint(faulty)) as served:
        raised, _ = await run(name, served.url, "stream")
    assert raised in ("APIError", "APIStatusError", "InternalServerError")
