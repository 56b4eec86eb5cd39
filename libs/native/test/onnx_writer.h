// Writes small ONNX models for tests: just enough of the protobuf encoding, field numbers as in onnx.proto.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace interleave::test {

class Message {
 public:
  Message& Int(int field, std::int64_t value) {
    Varint(static_cast<std::uint64_t>(field) << 3);
    Varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& Float(int field, float value) {
    Varint(static_cast<std::uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Message& Bytes(int field, std::string_view value) {
    Varint(static_cast<std::uint64_t>(field) << 3 | 2);
    Varint(value.size());
    bytes_.append(value);
    return *this;
  }
  Message& Child(int field, const Message& child) { return Bytes(field, child.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void Varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// A fixed size, a name, or (the empty name) nothing.
using Dim = std::variant<int, std::string>;
using Dims = std::vector<Dim>;

// An attribute of a node: an integer, a list of integers, a graph, a text, or a number.
struct Attribute {
  std::string name;
  std::variant<int, std::vector<int>, Message, std::string, float> value;
};

class Graph {
 public:
  explicit Graph(const std::string& name = "test") { graph_.Bytes(2, name); }

  Graph& Input(const std::string& name, int type, const Dims& dims) { return ValueInfo(11, name, type, dims); }
  Graph& Output(const std::string& name, int type, const Dims& dims) { return ValueInfo(12, name, type, dims); }
  // A sequence of maps from integers to floats, as ZipMap gives it.
  Graph& MapsOutput(const std::string& name) {
    const Message tensor = Message().Child(1, Message().Int(1, 1));
    const Message map = Message().Child(5, Message().Int(1, 7).Child(2, tensor));
    graph_.Child(12, Message().Bytes(1, name).Child(2, Message().Child(4, Message().Child(1, map))));
    return *this;
  }
  // Sequences of float tensors.
  Graph& SequenceInput(const std::string& name) { return Sequence(11, name); }
  Graph& SequenceOutput(const std::string& name) { return Sequence(12, name); }

  template <class T>
  Graph& Initializer(const std::string& name, int type, const std::vector<std::int64_t>& dims,
                     const std::vector<T>& values) {
    Message tensor;
    for (const std::int64_t dim : dims) tensor.Int(1, dim);
    tensor.Int(2, type).Bytes(8, name);
    tensor.Bytes(9, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
    graph_.Child(5, tensor);
    return *this;
  }

  Graph& Node(const std::string& op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
              const std::vector<Attribute>& attributes = {}, const std::string& domain = "") {
    Message node;
    for (const auto& input : inputs) node.Bytes(1, input);
    for (const auto& output : outputs) node.Bytes(2, output);
    node.Bytes(4, op).Bytes(7, domain);
    for (const auto& attribute : attributes) node.Child(5, Encode(attribute));
    graph_.Child(1, node);
    return *this;
  }

  const Message& message() const { return graph_; }

  // The model of this graph.
  Message Model(int opset = 17) const {
    Message version;
    version.Bytes(1, "").Int(2, opset);
    Message classical;
    classical.Bytes(1, "ai.onnx.ml").Int(2, 2);
    return Message().Int(1, 8).Child(7, graph_).Child(8, version).Child(8, classical);
  }

  // Writes the model and returns `path`.
  std::string Save(const std::string& path) const {
    std::ofstream(path, std::ios::binary) << Model().bytes();
    return path;
  }

 private:
  Graph& Sequence(int field, const std::string& name) {
    const Message tensor = Message().Child(1, Message().Int(1, 1));
    graph_.Child(field, Message().Bytes(1, name).Child(2, Message().Child(4, Message().Child(1, tensor))));
    return *this;
  }
  Graph& ValueInfo(int field, const std::string& name, int type, const Dims& dims) {
    Message shape;
    for (const Dim& dim : dims) {
      Message encoded;
      if (const int* size = std::get_if<int>(&dim)) encoded.Int(1, *size);
      const auto* symbol = std::get_if<std::string>(&dim);
      if (symbol != nullptr && !symbol->empty()) encoded.Bytes(2, *symbol);
      shape.Child(1, encoded);
    }
    Message tensor;
    tensor.Int(1, type).Child(2, shape);
    Message info;
    info.Bytes(1, name).Child(2, Message().Child(1, tensor));
    graph_.Child(field, info);
    return *this;
  }

  static Message Encode(const Attribute& attribute) {
    Message message;
    message.Bytes(1, attribute.name);
    if (const int* value = std::get_if<int>(&attribute.value)) return message.Int(3, *value).Int(20, 2);
    if (const float* number = std::get_if<float>(&attribute.value)) return message.Float(2, *number).Int(20, 1);
    if (const auto* text = std::get_if<std::string>(&attribute.value)) return message.Bytes(4, *text).Int(20, 3);
    if (const auto* graph = std::get_if<Message>(&attribute.value)) return message.Child(6, *graph).Int(20, 5);
    for (const int value : std::get<std::vector<int>>(attribute.value)) message.Int(8, value);
    return message.Int(20, 7);
  }

  Message graph_;
};

// A directory of its own under the system's temporary one, removed with what is in it.
class TempDir {
 public:
  TempDir() {
    char pattern[] = "/tmp/interleave-test-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~TempDir() {
    for (const auto& file : files_) unlink(file.c_str());
    rmdir(path_.c_str());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string File(const std::string& name) {
    files_.push_back(path_ + "/" + name);
    return files_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

}  // namespace interleave::test
