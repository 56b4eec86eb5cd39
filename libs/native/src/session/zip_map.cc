#include "session/zip_map.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "graph/wire.h"

namespace interleave {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kModelGraph = 7;
constexpr std::uint64_t kModelOpset = 8;
constexpr std::uint64_t kOpsetDomain = 1;
constexpr std::uint64_t kOpsetVersion = 2;
constexpr std::uint64_t kGraphNode = 1;
constexpr std::uint64_t kGraphOutput = 12;
constexpr std::uint64_t kNodeInput = 1;
constexpr std::uint64_t kNodeOutput = 2;
constexpr std::uint64_t kNodeName = 3;
constexpr std::uint64_t kNodeOperator = 4;
constexpr std::uint64_t kNodeAttribute = 5;
constexpr std::uint64_t kNodeDomain = 7;
constexpr std::uint64_t kAttributeName = 1;
constexpr std::uint64_t kAttributeInts = 8;
constexpr std::uint64_t kAttributeStrings = 9;
constexpr std::uint64_t kValueName = 1;
constexpr std::uint64_t kValueType = 2;
constexpr std::uint64_t kTypeTensor = 1;
constexpr std::uint64_t kTensorElementType = 1;
constexpr std::uint64_t kTensorShape = 2;
constexpr std::uint64_t kShapeDim = 1;
constexpr std::uint64_t kDimSize = 1;
constexpr std::uint64_t kFloat = 1;  // ZipMap takes nothing else
// Has Identity, and is old enough for every runtime that is served.
constexpr std::uint64_t kOpsetVersionAdded = 13;

using graph::Field;

void ForEach(std::string_view message, const std::function<void(const Field&)>& visit) {
  graph::WireReader reader(message);
  for (Field field; reader.Next(field);) visit(field);
}

std::string EncodedVarint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string EncodedNumber(std::uint64_t field, std::uint64_t value) {
  return EncodedVarint(field << 3) + EncodedVarint(value);
}
std::string EncodedString(std::uint64_t field, std::string_view content) {
  return EncodedVarint(field << 3 | 2) + EncodedVarint(content.size()) + std::string(content);
}

// The content of the last field of that number: for messages that were not merged, of the only one.
std::string_view ContentOf(std::string_view message, std::uint64_t number) {
  std::string_view content;
  ForEach(message, [&](const Field& field) {
    if (field.number == number) content = field.bytes;
  });
  return content;
}

bool IsZipMap(std::string_view node) {
  return ContentOf(node, kNodeOperator) == "ZipMap" && ContentOf(node, kNodeDomain) == "ai.onnx.ml";
}

// How many labels a ZipMap has: the columns of its tensor.
std::uint64_t LabelsOf(std::string_view zipMap) {
  std::uint64_t labels = 0;
  ForEach(zipMap, [&](const Field& attribute) {
    if (attribute.number != kNodeAttribute || !ContentOf(attribute.bytes, kAttributeName).starts_with("classlabels_"))
      return;
    ForEach(attribute.bytes, [&](const Field& field) {
      if (field.number == kAttributeStrings) ++labels;
      if (field.number != kAttributeInts) return;
      // One number, or several packed into one field, of which each ends with a byte below 0x80.
      const auto ends = std::count_if(field.bytes.begin(), field.bytes.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x80; });
      labels += field.bytes.empty() ? 1 : static_cast<std::uint64_t>(ends);
    });
  });
  return labels;
}

// The graph's outputs that a ZipMap gives and no other node takes, with the number of its labels.
using ZippedOutputs = std::map<std::string_view, std::uint64_t>;

ZippedOutputs FindZipped(std::string_view model) {
  ZippedOutputs zipped;
  std::set<std::string_view> outputs;
  std::set<std::string_view> taken;
  ForEach(model, [&](const Field& part) {
    if (part.number != kModelGraph) return;
    ForEach(part.bytes, [&](const Field& field) {
      if (field.number == kGraphOutput) outputs.insert(ContentOf(field.bytes, kValueName));
      if (field.number != kGraphNode) return;
      if (IsZipMap(field.bytes)) zipped.emplace(ContentOf(field.bytes, kNodeOutput), LabelsOf(field.bytes));
      ForEach(field.bytes, [&](const Field& input) {
        if (input.number == kNodeInput) taken.insert(input.bytes);
      });
    });
  });
  std::erase_if(zipped,
                [&](const auto& entry) { return !outputs.contains(entry.first) || taken.contains(entry.first); });
  return zipped;
}

std::string IdentityFor(std::string_view zipMap) {
  std::string node;
  ForEach(zipMap, [&](const Field& field) {
    if (field.number == kNodeInput || field.number == kNodeOutput || field.number == kNodeName) node += field.all;
  });
  return EncodedString(kGraphNode, node + EncodedString(kNodeOperator, "Identity"));
}

// [rows, labels]
std::string FloatOutput(std::string_view name, std::uint64_t labels) {
  const std::string shape = EncodedString(kShapeDim, "") + EncodedString(kShapeDim, EncodedNumber(kDimSize, labels));
  const std::string type =
      EncodedString(kTypeTensor, EncodedNumber(kTensorElementType, kFloat) + EncodedString(kTensorShape, shape));
  return EncodedString(kGraphOutput, EncodedString(kValueName, name) + EncodedString(kValueType, type));
}

std::string GraphWithout(std::string_view graph, const ZippedOutputs& zipped) {
  std::string edited;
  ForEach(graph, [&](const Field& field) {
    if (field.number == kGraphNode && IsZipMap(field.bytes) && zipped.contains(ContentOf(field.bytes, kNodeOutput))) {
      edited += IdentityFor(field.bytes);
      return;
    }
    const auto output = field.number == kGraphOutput ? zipped.find(ContentOf(field.bytes, kValueName)) : zipped.end();
    edited += output == zipped.end() ? std::string(field.all) : FloatOutput(output->first, output->second);
  });
  return EncodedString(kModelGraph, edited);
}

}  // namespace

std::optional<std::string> WithoutZipMaps(std::string_view model) {
  try {
    const ZippedOutputs zipped = FindZipped(model);
    if (zipped.empty()) return std::nullopt;
    std::string edited;
    bool hasMainOpset = false;
    ForEach(model, [&](const Field& field) {
      edited += field.number == kModelGraph ? GraphWithout(field.bytes, zipped) : std::string(field.all);
      const std::string_view domain = field.number == kModelOpset ? ContentOf(field.bytes, kOpsetDomain) : "none";
      hasMainOpset = hasMainOpset || domain.empty() || domain == "ai.onnx";
    });
    if (!hasMainOpset) edited += EncodedString(kModelOpset, EncodedNumber(kOpsetVersion, kOpsetVersionAdded));
    return edited;
  } catch (const graph::WireError&) {
    return std::nullopt;
  }
}

}  // namespace interleave
