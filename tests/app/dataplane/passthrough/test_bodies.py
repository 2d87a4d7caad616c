"""The model's name in JSON and in forms: read, replaced, nothing else touched."""

import json

import pytest

from app.dataplane.passthrough.form_body import FormBody
from app.dataplane.passthrough.json_body import JsonBody
from app.errors import BadRequest

FILE = bytes(range(256)) * 4 + b'\r\ncontent-disposition: form-data; name="model"\r\n\r\nfake\r\n--b\r\n'


def form(*parts, boundary=b"B0und"):
    lines = [b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n" for head, value in parts]
    return b"".join(lines) + b"--" + boundary + b"--\r\n"


MODEL = (b'Content-Disposition: form-data; name="model"', b"auto")
AUDIO = (b'Content-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav', FILE)


@pytest.mark.parametrize("parts", [[MODEL, AUDIO], [AUDIO, MODEL], [AUDIO, MODEL, AUDIO]])
@pytest.mark.parametrize(
    "content_type", [b"multipart/form-data; boundary=B0und", b'multipart/form-data; boundary="B0und"; x=y']
)
def test_a_forms_model_is_read_and_replaced_and_the_file_stays(parts, content_type):
    body = FormBody(form(*parts), content_type)
    assert body.model == "auto"
    named = [(head, b"instruct" if value == b"auto" else value) for head, value in parts]
    assert body.naming("instruct") == form(*named)


@pytest.mark.parametrize(
    "head",
    [
        b"content-disposition: form-data; name=model",
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; name="model"',
    ],
)
def test_other_spellings_of_the_part(head):
    assert FormBody(form((head, b"x")), b"multipart/form-data; boundary=B0und").model == "x"


@pytest.mark.parametrize("body", [form(AUDIO), b"", b"--B0und", b"--B0und--", b"--B0und\r\n\r\n", form(MODEL)[:40]])
def test_a_form_without_a_model_has_none(body):
    assert FormBody(body, b"multipart/form-data; boundary=B0und").model is None


def test_what_is_no_form_is_refused():
    with pytest.raises(BadRequest):
        FormBody(form(MODEL), b"multipart/form-data")
    with pytest.raises(BadRequest):
        FormBody(form((MODEL[0], b"\xff")), b"multipart/form-data; boundary=B0und")


def test_a_json_bodys_model_is_read_and_replaced_and_the_rest_stays():
    body = JsonBody(b'{"input":["a", 1.50],"model":"auto"}')
    assert body.model == "auto"
    assert body.naming("m") == b'{"input":["a", 1.50],"model":"m"}'
    assert JsonBody(b"{}").model is None
    for bad in (b"", b"[]", b'{"model":3}', b"\xff"):
        with pytest.raises(BadRequest):
            JsonBody(bad)
    assert json.loads(JsonBody(b'{"model":"auto"}').naming('q"uote')) == {"model": 'q"uote'}
