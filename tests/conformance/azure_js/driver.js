// Calls the JavaScript client of Azure Attestation as it is told.
//
// Each line of standard input is a call in JSON: { endpoint, client, method,
// parameters, options, token }.  Each line of standard output is what became
// of one: { value }, or { error: { name, message, status, code } }.  Bytes are
// written { "$bytes": base64 }, instants { "$date": ISO 8601 }.
//
// With an option `check` the client is told to validate tokens: the signature,
// both ends of their time, and the issuer, which has to be the endpoint.  What
// its callback was shown comes back as `shown`; the callback finds `problems`.

"use strict";

const { webcrypto } = require("node:crypto");
const readline = require("node:readline");

// Node 18, which Debian 12 has, does not give it by itself.
globalThis.crypto ??= webcrypto;

const {
  AttestationAdministrationClient,
  AttestationClient,
  createAttestationPolicyToken,
} = require("@azure/attestation");

const clients = { AttestationAdministrationClient, AttestationClient };

function read(value) {
  if (Array.isArray(value)) {
    return value.map(read);
  }
  if (value === null) {
    return undefined; // what is left out
  }
  if (typeof value !== "object") {
    return value;
  }
  if ("$bytes" in value) {
    return Uint8Array.from(Buffer.from(value.$bytes, "base64"));
  }
  const pairs = Object.entries(value).map(([k, v]) => [k, read(v)]);
  return Object.fromEntries(pairs);
}

function write(value) {
  if (value instanceof Uint8Array) {
    return { $bytes: Buffer.from(value).toString("base64") };
  }
  if (value instanceof Date) {
    return { $date: value.toISOString() };
  }
  if (Array.isArray(value)) {
    return value.map(write);
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  if (typeof value.serialize === "function") {
    return { ...write({ ...getters(value) }), serialized: value.serialize() };
  }
  const found = { ...getters(value), ...value };
  const own = Object.entries(found).filter(([name]) => !name.startsWith("_"));
  return Object.fromEntries(own.map(([k, v]) => [k, write(v)]));
}

// What an instance of a class tells by its getters.
function getters(value) {
  const kind = Object.getPrototypeOf(value);
  if (kind === null || kind === Object.prototype) {
    return {};
  }
  const described = Object.entries(Object.getOwnPropertyDescriptors(kind));
  const named = described.filter(([, d]) => d.get !== undefined);
  return Object.fromEntries(named.map(([name]) => [name, value[name]]));
}

function credentialOf(token) {
  const expiresOnTimestamp = Date.now() + 3600_000;
  return { getToken: async () => ({ token, expiresOnTimestamp }) };
}

// A client is used again, as users do: it reads the signers once.
const made = new Map();

function clientFor(client, endpoint, token) {
  const key = JSON.stringify([client, endpoint, token]);
  if (!made.has(key)) {
    const credential = token === undefined ? undefined : credentialOf(token);
    made.set(key, new clients[client](endpoint, credential));
  }
  return made.get(key);
}

function validationOf(endpoint, problems, shown) {
  return {
    validateToken: true,
    validateExpirationTime: true,
    validateNotBeforeTime: true,
    validateIssuer: true,
    expectedIssuer: endpoint,
    timeValidationSlack: 1,
    validateAttestationToken: (token, signer) => {
      shown.push(write({ token, signer }));
      return problems;
    },
  };
}

async function call(asked) {
  const { endpoint, client, method, parameters, token, options } = asked;
  const shown = [];
  const { check, problems, ...own } = options;
  if (check) {
    own.validationOptions = validationOf(endpoint, problems ?? [], shown);
  }
  const found = clientFor(client, endpoint, token);
  return { value: write(await found[method](...parameters, own)), shown };
}

async function answer(line) {
  try {
    const asked = read(JSON.parse(line));
    if (asked.method === "createAttestationPolicyToken") {
      const made = createAttestationPolicyToken(...asked.parameters);
      return { value: write(made), shown: [] };
    }
    return await call(asked);
  } catch (e) {
    const { name, message, statusCode: status, code, details } = e;
    return { error: { name, message, status, code, details: write(details) } };
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
}

main();
