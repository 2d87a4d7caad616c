// What the AI SDK sees of the gateway, as one JSON object. Knows the client, judges nothing.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText, tool } from "ai";
import { z } from "zod";

const { GATEWAY_URL, GATEWAY_KEY, EASY, HARD } = process.env;
const options = { name: "thinkgate", baseURL: `${GATEWAY_URL}/v1`, apiKey: GATEWAY_KEY, includeUsage: true };
const provider = createOpenAICompatible(options);
const request = (prompt, model = "auto") => (
  { model: provider(model), prompt, temperature: 0, maxOutputTokens: 300, maxRetries: 0 });
const tools = { weather: tool({ strict: true, inputSchema: z.object({ city: z.enum(["Lima"]) }) }) };

async function whole(text) {
  const { text: content, reasoningText, response } = await generateText(request(text));
  return { content, reasoning: reasoningText ?? "", model: response.modelId, mode: response.body.routing.mode,
    header: response.headers["x-thinkgate-mode"] };
}

async function streamed(text) {
  const result = streamText({ ...request(text), includeRawChunks: true });
  const seen = { content: "", reasoning: "" };
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") seen.content += part.text;
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "raw") seen.mode = part.rawValue.routing?.mode ?? seen.mode;
    if (part.type === "error") throw part.error;
  }
  const { modelId, headers } = await result.response;
  const { outputTokens } = await result.usage;
  return { ...seen, model: modelId, header: headers["x-thinkgate-mode"], tokens: outputTokens };
}

const forced = { ...request("weather?", "auto-instruct"), tools, toolChoice: "required" };
const called = ([{ toolName, input }]) => ({ name: toolName, input });

async function failure(made) {
  try {
    await made();
    return { error: "none" };
  } catch (error) {
    return { error: error.name, status: error.statusCode, message: error.message };
  }
}

async function failureStreamed(asked) {
  const result = streamText({ ...asked, onError: () => {} });
  return failure(async () => {
    for await (const part of result.fullStream) if (part.type === "error") throw part.error;
  });
}

const stranger = createOpenAICompatible({ ...options, apiKey: "wrong" });
console.log(JSON.stringify({
  easy: await whole(EASY),
  hard: await whole(HARD),
  easy_streamed: await streamed(EASY),
  hard_streamed: await streamed(HARD),
  tool: called((await generateText(forced)).toolCalls),
  tool_streamed: called(await streamText(forced).toolCalls),
  unknown_model: await failure(() => generateText(request(EASY, "nope"))),
  unknown_model_streamed: await failureStreamed(request(EASY, "nope")),
  bad_request: await failure(() => generateText({ ...request(EASY), maxOutputTokens: 5000 })),
  wrong_key: await failure(() => generateText({ ...request(EASY), model: stranger("auto") })),
}));
