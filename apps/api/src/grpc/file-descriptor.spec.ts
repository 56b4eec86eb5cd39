import { WireReader } from '@app/protocols';
import { DEFINITIONS } from './definitions';
import { completeFile } from './file-descriptor';

const FILE_MESSAGE = 4;
const MESSAGE_NAME = 1;
const MESSAGE_FIELD = 2;
const MESSAGE_NESTED = 3;
const FIELD_NAME = 1;
const FIELD_JSON_NAME = 10;

function valuesOf(message: Buffer, field: number): Buffer[] {
  const values: Buffer[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.isBytes(field)) values.push(reader.view());
    else reader.skip();
  }
  return values;
}

const textsOf = (message: Buffer, field: number): string[] => valuesOf(message, field).map(String);

describe('the files of reflection', () => {
  const [file] = DEFINITIONS['inference.ModelInferRequest']?.fileDescriptorProtos as Buffer[];
  const messages = valuesOf(completeFile(file as Buffer), FILE_MESSAGE);
  const messageOf = (name: string): Buffer => messages.find((message) => textsOf(message, MESSAGE_NAME).at(-1) === name) as Buffer;
  const jsonNamesOf = (message: Buffer) =>
    Object.fromEntries(valuesOf(message, MESSAGE_FIELD).map((field) => [textsOf(field, FIELD_NAME)[0], textsOf(field, FIELD_JSON_NAME)]));

  it('have the names of fields in JSON', () => {
    expect(jsonNamesOf(messageOf('ModelInferRequest'))).toEqual({
      model_name: ['modelName'],
      model_version: ['modelVersion'],
      id: ['id'],
      parameters: ['parameters'],
      inputs: ['inputs'],
      outputs: ['outputs'],
      raw_input_contents: ['rawInputContents'],
    });
  });

  it('have them in nested messages, and the entries of maps by the names of protobuf', () => {
    const nested = valuesOf(messageOf('ModelInferRequest'), MESSAGE_NESTED);
    const input = nested.find((message) => textsOf(message, MESSAGE_NAME).at(-1) === 'InferInputTensor') as Buffer;
    expect(Object.keys(jsonNamesOf(input))).toContain('datatype');
    expect(nested.map((message) => textsOf(message, MESSAGE_NAME).at(-1))).toContain('ParametersEntry');
  });
});
