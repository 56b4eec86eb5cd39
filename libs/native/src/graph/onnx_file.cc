#include "graph/onnx_file.h"

#include <algorithm>
#include <limits>

#include "graph/element_type.h"

namespace interleave::graph {
namespace {

constexpr int kDepthMax = 16;
constexpr std::size_t kPartsMax = 500'000;
constexpr std::size_t kListMax = 1 << 16;
constexpr int kExternal = 1;

std::string_view Domain(std::string_view domain) { return domain == "ai.onnx" ? std::string_view() : domain; }

template <class T>
void Append(std::vector<T>& list, T value) {
  if (list.size() >= kListMax) throw WireError();
  list.push_back(std::move(value));
}

// A repeated integer, packed or not.
void AppendIntegers(std::vector<std::int64_t>& list, const Field& field) {
  if (field.type != WireType::kBytes) return Append(list, field.Int());
  for (WireReader packed(field.bytes); !packed.AtEnd();) Append(list, static_cast<std::int64_t>(packed.Varint()));
}

void AppendFloats(std::vector<double>& list, const Field& field) {
  if (field.type != WireType::kBytes) return Append<double>(list, field.Float());
  for (WireReader packed(field.bytes); !packed.AtEnd();) {
    const Field element{.number = 1, .type = WireType::kFixed32, .value = packed.Fixed(4)};
    Append<double>(list, element.Float());
  }
}

template <class T>
void DecodeRaw(std::string_view raw, std::vector<double>& numbers) {
  for (std::size_t i = 0; i + sizeof(T) <= raw.size(); i += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + i, sizeof(T));
    numbers.push_back(static_cast<double>(value));
  }
}

// Where a tensor keeps its values: the raw bytes, or one of the typed lists.
struct TensorData {
  std::string_view raw;
  std::vector<Field> lists;
  bool isElsewhere = false;
};

void DecodeLists(const Tensor& tensor, const TensorData& data, std::vector<double>& numbers) {
  std::vector<std::int64_t> integers;
  for (const Field& field : data.lists) {
    if (field.number == 4) {
      AppendFloats(numbers, field);
    } else if (field.number == 10) {
      if (field.type == WireType::kBytes)
        DecodeRaw<double>(field.bytes.substr(0, (kNumbersMax + 1) * sizeof(double)), numbers);
      else
        numbers.push_back(std::numeric_limits<double>::quiet_NaN());  // counted, and never taken for a size
    } else {
      AppendIntegers(integers, field);
    }
  }
  for (const std::int64_t value : integers) {
    numbers.push_back(tensor.type == kUint64 ? static_cast<double>(static_cast<std::uint64_t>(value))
                                             : static_cast<double>(value));
  }
}

void DecodeTyped(int type, std::string_view raw, std::vector<double>& numbers) {
  switch (type) {
    case kFloat:
      return DecodeRaw<float>(raw, numbers);
    case kUint8:
    case kBool:
      return DecodeRaw<std::uint8_t>(raw, numbers);
    case kInt8:
      return DecodeRaw<std::int8_t>(raw, numbers);
    case kUint16:
      return DecodeRaw<std::uint16_t>(raw, numbers);
    case kInt16:
      return DecodeRaw<std::int16_t>(raw, numbers);
    case kInt32:
      return DecodeRaw<std::int32_t>(raw, numbers);
    case kInt64:
      return DecodeRaw<std::int64_t>(raw, numbers);
    case kDouble:
      return DecodeRaw<double>(raw, numbers);
    case kUint32:
      return DecodeRaw<std::uint32_t>(raw, numbers);
    case kUint64:
      return DecodeRaw<std::uint64_t>(raw, numbers);
    default:
      return;
  }
}

void DecodeNumbers(Tensor& tensor, const TensorData& data) {
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor.dims) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) throw WireError();
  }
  const bool isPlain = (tensor.type >= kFloat && tensor.type <= kInt64) || tensor.type == kBool ||
                       (tensor.type >= kDouble && tensor.type <= kUint64);
  if (data.isElsewhere || !isPlain || count > static_cast<std::int64_t>(kNumbersMax)) return;
  std::vector<double> numbers;
  if (!data.raw.empty())
    DecodeTyped(tensor.type, data.raw.substr(0, kNumbersMax * sizeof(double)), numbers);
  else
    DecodeLists(tensor, data, numbers);
  if (numbers.size() != static_cast<std::size_t>(count)) throw WireError();
  tensor.numbers = std::move(numbers);
}

// Counts what was read, so that no file makes the reader work or allocate without end.
class Reader {
 public:
  Model ReadModelProto(std::string_view bytes) {
    Model model;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 7) AddToGraph(model.graph, field.Bytes(), 0);
      if (field.number == 8) AddOpset(model.opsets, field.Bytes());
      if (field.number == 25) AddFunction(model, field.Bytes());
    }
    return model;
  }

 private:
  void Count() {
    if (++parts_ > kPartsMax) throw WireError();
  }

  void AddOpset(Opsets& opsets, std::string_view bytes) {
    std::string_view domain;
    std::int64_t version = 0;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) domain = Domain(field.Bytes());
      if (field.number == 2) version = field.Int();
    }
    Count();
    if (version < 0 || version > 1000) throw WireError();
    const auto [known, isNew] = opsets.emplace(domain, static_cast<int>(version));
    if (!isNew && known->second != version) throw WireError();
  }

  void AddFunction(Model& model, std::string_view bytes) {
    Function function;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) function.name = field.Bytes();
      if (field.number == 4) Append(function.inputs, field.Bytes());
      if (field.number == 5) Append(function.outputs, field.Bytes());
      if (field.number == 7) function.nodes.push_back(ReadNode(field.Bytes(), 0));
      if (field.number == 9) AddOpset(function.opsets, field.Bytes());
      if (field.number == 10) function.domain = Domain(field.Bytes());
      if (field.number == 11) function.defaults.push_back(ReadAttribute(field.Bytes(), 0));
    }
    Count();
    const auto key = std::pair(function.domain, function.name);
    if (!model.functions.emplace(key, std::move(function)).second) throw WireError();
  }

  void AddToGraph(Graph& graph, std::string_view bytes, int depth) {
    if (depth > kDepthMax) throw WireError();
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) graph.nodes.push_back(ReadNode(field.Bytes(), depth));
      if (field.number == 5) graph.initializers.push_back(ReadTensor(field.Bytes()));
      if (field.number == 11) graph.inputs.push_back(ReadDeclared(field.Bytes()));
      if (field.number == 12) graph.outputs.push_back(ReadDeclared(field.Bytes()));
      if (field.number == 15) graph.initializers.push_back(ReadSparse(field.Bytes()));
    }
  }

  Node ReadNode(std::string_view bytes, int depth) {
    Count();
    Node node;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) Append(node.inputs, field.Bytes());
      if (field.number == 2) Append(node.outputs, field.Bytes());
      if (field.number == 3) node.name = field.Bytes();
      if (field.number == 4) node.op = field.Bytes();
      if (field.number == 5) node.attributes.push_back(ReadAttribute(field.Bytes(), depth));
      if (field.number == 7) node.domain = Domain(field.Bytes());
    }
    return node;
  }

  Attribute ReadAttribute(std::string_view bytes, int depth) {
    Count();
    Attribute attribute;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) ReadAttributeField(attribute, field, depth);
    return attribute;
  }

  void ReadAttributeField(Attribute& attribute, const Field& field, int depth) {
    switch (field.number) {
      case 1:
        attribute.name = field.Bytes();
        return;
      case 2:
        attribute.number = field.Float();
        return;
      case 3:
        attribute.number = static_cast<double>(field.Int());
        return;
      case 4:
        attribute.text = field.Bytes();
        return;
      case 5:
        attribute.tensor = attribute.tensor ? throw WireError() : ReadTensor(field.Bytes());
        return;
      case 6:
        if (!attribute.graph) attribute.graph = std::make_unique<Graph>();
        return AddToGraph(*attribute.graph, field.Bytes(), depth + 1);
      case 7:
        return AddWide(attribute.floats, field, AppendFloats, attribute.isCut);
      case 8:
        return AddWide(attribute.integers, field, AppendIntegers, attribute.isCut);
      case 9:
        ++attribute.stringsCount;
        return;
      case 21:
        attribute.reference = field.Bytes();
        return;
      default:
        return;
    }
  }

  // Tree ensembles have lists of millions, which no rule reads.
  template <class T>
  static void AddWide(std::vector<T>& list, const Field& field, void (*append)(std::vector<T>&, const Field&),
                      bool& isCut) {
    isCut = isCut || list.size() >= kListMax || (field.type == WireType::kBytes && field.bytes.size() >= kListMax);
    if (!isCut) append(list, field);
  }

  Tensor ReadTensor(std::string_view bytes) {
    Count();
    Tensor tensor;
    TensorData data;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) AppendIntegers(tensor.dims, field);
      if (field.number == 2) tensor.type = static_cast<int>(field.Int());
      if (field.number == 8) tensor.name = field.Bytes();
      if (field.number == 9) data.raw = field.Bytes();
      if (field.number == 14) data.isElsewhere = field.Int() == kExternal;
      const bool isList =
          field.number == 4 || field.number == 5 || field.number == 7 || field.number == 10 || field.number == 11;
      if (isList && data.lists.size() <= kNumbersMax) data.lists.push_back(field);
    }
    DecodeNumbers(tensor, data);
    if (!data.isElsewhere) tensor.raw = data.raw;
    return tensor;
  }

  Tensor ReadSparse(std::string_view bytes) {
    Tensor sparse;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 3) AppendIntegers(sparse.dims, field);
      if (field.number == 1) {
        const Tensor values = ReadTensor(field.Bytes());
        sparse.name = values.name;
        sparse.type = values.type;
      }
    }
    if (std::any_of(sparse.dims.begin(), sparse.dims.end(), [](std::int64_t dim) { return dim < 0; }))
      throw WireError();
    return sparse;
  }

  Declared ReadDeclared(std::string_view bytes) {
    Count();
    Declared declared;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number == 1) declared.name = field.Bytes();
      if (field.number == 2) ReadType(declared, field.Bytes());
    }
    return declared;
  }

  void ReadType(Declared& declared, std::string_view bytes) {
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number != 1) continue;
      Field inner;
      for (WireReader tensor(field.Bytes()); tensor.Next(inner);) {
        if (inner.number == 1) declared.type = static_cast<int>(inner.Int());
        if (inner.number == 2) ReadShape(declared, inner.Bytes());
      }
    }
  }

  void ReadShape(Declared& declared, std::string_view bytes) {
    declared.hasShape = true;
    Field field;
    for (WireReader reader(bytes); reader.Next(field);) {
      if (field.number != 1) continue;
      std::int64_t size = -1;
      std::string_view symbol;
      Field inner;
      for (WireReader dim(field.Bytes()); dim.Next(inner);) {
        if (inner.number == 1) size = inner.Int() < 0 ? -1 : inner.Int();
        if (inner.number == 2) symbol = inner.Bytes();
      }
      Append(declared.dims, size);
      Append(declared.symbols, symbol);
    }
  }

  std::size_t parts_ = 0;
};

}  // namespace

Model ReadModel(std::string_view bytes) { return Reader().ReadModelProto(bytes); }

}  // namespace interleave::graph
