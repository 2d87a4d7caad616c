// What OpenAI's own JavaScript client sees of the gateway, as one JSON object. Knows the client, judges nothing.
import OpenAI from "openai";

const { GATEWAY_URL, GATEWAY_KEY, EASY, HARD } = process.env;
const options = { baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 };
const client = new OpenAI(options);
const tools = [{ type: "function", function: { name: "weather", strict: true, parameters: { type: "object",
  properties: { city: { type: "string", enum: ["Lima"] } }, required: ["city"], additionalProperties: false } } }];
const request = (text, more = {}) => (
  { model: "auto", messages: [{ role: "user", content: text }], temperature: 0, max_tokens: 300, ...more });

async function whole(text) {
  const { data, response } = await client.chat.completions.create(request(text)).withResponse();
  const message = data.choices[0].message;
  return { content: message.content, reasoning: message.reasoning ?? "", model: data.model,
    mode: data.routing.mode, header: response.headers.get("x-thinkgate-mode") };
}

async function streamed(text) {
  const { data, response } = await client.chat.completions.create(request(text, { stream: true })).withResponse();
  const seen = { content: "", reasoning: "", header: response.headers.get("x-thinkgate-mode") };
  for await (const chunk of data) {
    seen.content += chunk.choices[0]?.delta.content ?? "";
    seen.reasoning += chunk.choices[0]?.delta.reasoning ?? "";
    seen.model = chunk.model;
    seen.mode = chunk.routing?.mode ?? seen.mode;
  }
  return seen;
}

const forced = { model: "auto-instruct", tools, tool_choice: "required" };
const called = ({ function: made }) => ({ name: made.name, input: JSON.parse(made.arguments) });

async function tool() {
  const answer = await client.chat.completions.create(request("Call the weather.", forced));
  return called(answer.choices[0].message.tool_calls[0]);
}

async function toolStreamed() {
  const answer = await client.chat.completions.stream(request("Call the weather.", forced)).finalChatCompletion();
  return called(answer.choices[0].message.tool_calls[0]);
}

async function failure(made) {
  try {
    await made();
    return { error: "none" };
  } catch (error) {
    return { error: error.constructor.name, status: error.status, message: error.message };
  }
}

const stranger = new OpenAI({ ...options, apiKey: "wrong" });
console.log(JSON.stringify({
  easy: await whole(EASY),
  hard: await whole(HARD),
  easy_streamed: await streamed(EASY),
  hard_streamed: await streamed(HARD),
  tool: await tool(),
  tool_streamed: await toolStreamed(),
  unknown_model: await failure(() => client.chat.completions.create(request(EASY, { model: "nope" }))),
  unknown_model_streamed: await failure(
    () => client.chat.completions.create(request(EASY, { model: "nope", stream: true }))),
  bad_request: await failure(() => client.chat.completions.create(request(EASY, { max_tokens: 5000 }))),
  wrong_key: await failure(() => stranger.chat.completions.create(request(EASY))),
}));
