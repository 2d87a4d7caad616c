// What Anthropic's own JavaScript client sees of the gateway, as one JSON object. Knows the client, judges nothing.
import Anthropic from "@anthropic-ai/sdk";

const { GATEWAY_URL, GATEWAY_KEY, EASY, HARD } = process.env;
const options = { baseURL: GATEWAY_URL, apiKey: GATEWAY_KEY, maxRetries: 0 };
const client = new Anthropic(options);
const tools = [{ name: "weather", strict: true, input_schema: { type: "object",
  properties: { city: { type: "string", enum: ["Lima"] } }, required: ["city"], additionalProperties: false } }];
const request = (text, more = {}) => (
  { model: "auto", messages: [{ role: "user", content: text }], temperature: 0, max_tokens: 300, ...more });

function told(message) {
  const text = (type, key) => message.content.filter((block) => block.type === type).map((block) => block[key]).join("");
  return { content: text("text", "text"), reasoning: text("thinking", "thinking"), model: message.model };
}

async function whole(text) {
  const { data, response } = await client.messages.create(request(text)).withResponse();
  return { ...told(data), mode: data.routing.mode, header: response.headers.get("x-thinkgate-mode") };
}

async function streamed(text) {
  const stream = client.messages.stream(request(text));
  const seen = {};
  stream.on("streamEvent", (event) => { seen.mode = event.routing?.mode ?? seen.mode; });
  const { response } = await stream.withResponse();
  const message = await stream.finalMessage();
  return { ...told(message), ...seen, header: response.headers.get("x-thinkgate-mode") };
}

const forced = { model: "auto-instruct", tools, tool_choice: { type: "any" } };
const called = (message) => {
  const { name, input } = message.content.find((block) => block.type === "tool_use");
  return { name, input };
};

async function failure(made) {
  try {
    await made();
    return { error: "none" };
  } catch (error) {
    return { error: error.constructor.name, status: error.status, message: error.message };
  }
}

const stranger = new Anthropic({ ...options, apiKey: "wrong" });
console.log(JSON.stringify({
  easy: await whole(EASY),
  hard: await whole(HARD),
  easy_streamed: await streamed(EASY),
  hard_streamed: await streamed(HARD),
  tool: called(await client.messages.create(request("Call the weather.", forced))),
  tool_streamed: called(await client.messages.stream(request("Call the weather.", forced)).finalMessage()),
  unknown_model: await failure(() => client.messages.create(request(EASY, { model: "nope" }))),
  unknown_model_streamed: await failure(() => client.messages.stream(request(EASY, { model: "nope" })).finalMessage()),
  bad_request: await failure(() => client.messages.create(request(EASY, { max_tokens: 5000 }))),
  wrong_key: await failure(() => stranger.messages.create(request(EASY))),
}));
