// A client in Node.js whose code is made of the protos when it runs; nothing is generated before.
//
//   cd examples/node && npm ci
//   node client.js 127.0.0.1:8001 models/quickstart
//
// It sends one black image to the model that quickstart.py has put on the server, and prints the
// answer as JSON.
"use strict";

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const PROTOS = process.env.SMIDGEN_PROTOS || path.join(__dirname, "..", "..", "proto");
const SHAPE = [1, 1, 8, 8];

function main([server = "127.0.0.1:8001", name = "models/quickstart"]) {
  const definition = loader.loadSync("smidgen/v1/inference_service.proto", {
    includeDirs: [PROTOS],
    keepCase: true,
    enums: String,
    longs: Number,
  });
  const { InferenceService } = grpc.loadPackageDefinition(definition).smidgen.v1;
  const client = new InferenceService(server, grpc.credentials.createInsecure());
  const values = new Float32Array(SHAPE.reduce((product, extent) => product * extent));
  const image = { data_type: "DATA_TYPE_FLOAT32", shape: SHAPE, data: Buffer.from(values.buffer) };
  const deadline = new Date(Date.now() + 10_000);
  client.Infer({ name, inputs: [image] }, { deadline }, (error, answer) => {
    client.close();
    if (error) {
      console.error(`${grpc.status[error.code]}: ${error.details}`);
      process.exitCode = 1;
      return;
    }
    const [output] = answer.outputs;
    // A message's bytes may begin anywhere in their buffer; an array of floats may not.
    const logits = new Float32Array(Uint8Array.from(output.data).buffer);
    const { model_version } = answer;
    console.log(JSON.stringify({ model_version, shape: output.shape, logits: [...logits] }));
  });
}

main(process.argv.slice(2));
