import { WireReader, WireWriter } from '@app/protocols';

/** Fields of `FileDescriptorProto`, `DescriptorProto`, `FieldDescriptorProto` and `MessageOptions`. */
const FILE_MESSAGE = 4;
const MESSAGE = { name: 1, field: 2, nested: 3, options: 7 } as const;
const FIELD_TYPE_NAME = 6;
const OPTION_MAP_ENTRY = 7;

/**
 * A serialised `FileDescriptorProto` with the entries of maps named as protobuf wants them, `ParametersEntry` for
 * `parameters`: protobufjs 7 and 8 leave the ending out, and clients of reflection refuse the file.
 */
export function withMapEntryNames(file: Buffer): Buffer {
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
    return field === MESSAGE.field ? withText(value, FIELD_TYPE_NAME, names.get(textOf(value, FIELD_TYPE_NAME))) : value;
  });
}

function entryName(name: string): string {
  return `${name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}Entry`;
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
