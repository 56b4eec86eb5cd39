import { WireReader, WireWriter } from '@app/protocols';

/** Fields of `FileDescriptorProto`, `DescriptorProto`, `FieldDescriptorProto` and `MessageOptions`. */
const FILE_MESSAGE = 4;
const MESSAGE = { name: 1, field: 2, nested: 3, options: 7 } as const;
const FIELD = { name: 1, typeName: 6, jsonName: 10 } as const;
const OPTION_MAP_ENTRY = 7;

/**
 * A serialised `FileDescriptorProto` with what protobufjs 7 and 8 leave out: the entries of maps named as protobuf wants them,
 * `ParametersEntry` for `parameters`, without which clients of reflection refuse the file; and the names of fields in JSON,
 * without which they print `model_name` for Triton's `modelName`.
 */
export function completeFile(file: Buffer): Buffer {
  return rewritten(file, (field, value) => (field === FILE_MESSAGE ? fixMessage(value) : value));
}

function fixMessage(message: Buffer): Buffer {
  const names = new Map(
    valuesOf(message, MESSAGE.nested)
      .filter(isMapEntry)
      .map(nameOf)
      .map((name) => [name, entryName(name)]),
  );
  return rewritten(message, (field, value) => {
    if (field === MESSAGE.nested) return isMapEntry(value) ? withText(value, MESSAGE.name, names.get(nameOf(value))) : fixMessage(value);
    return field === MESSAGE.field ? fixField(value, names) : value;
  });
}

function fixField(field: Buffer, entryNames: ReadonlyMap<string, string>): Buffer {
  const named = withText(field, FIELD.typeName, entryNames.get(textOf(field, FIELD.typeName)));
  return withText(named, FIELD.jsonName, camelCase(textOf(field, FIELD.name)));
}

const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function entryName(name: string): string {
  return `${camelCase(name)}Entry`;
}

function isMapEntry(message: Buffer): boolean {
  return valuesOf(message, MESSAGE.options).some((options) => {
    const reader = new WireReader(options);
    while (reader.next()) {
      if (reader.isVarint(OPTION_MAP_ENTRY)) return reader.bool();
      reader.skip();
    }
    return false;
  });
}

const nameOf = (message: Buffer): string => textOf(message, MESSAGE.name);

function textOf(message: Buffer, field: number): string {
  return valuesOf(message, field).at(-1)?.toString() ?? '';
}

function valuesOf(message: Buffer, field: number): Buffer[] {
  const values: Buffer[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.isBytes(field)) values.push(reader.view());
    else reader.skip();
  }
  return values;
}

/** Of a field that comes twice the last one counts. */
function withText(message: Buffer, field: number, text: string | undefined): Buffer {
  if (text === undefined) return message;
  const writer = new WireWriter();
  writer.text(field, text);
  return Buffer.concat([message, ...writer.end().parts]);
}

/** For messages whose fields are all texts or messages, as files and messages are. */
function rewritten(message: Buffer, change: (field: number, value: Buffer) => Buffer): Buffer {
  const writer = new WireWriter();
  const reader = new WireReader(message);
  while (reader.next()) {
    const { field } = reader;
    writer.bytes(field, change(field, reader.view()));
  }
  return Buffer.concat(writer.end().parts);
}
