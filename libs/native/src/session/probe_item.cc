#include "session/probe_item.h"

#include <algorithm>

#include "session/pad_value.h"

namespace interleave {
namespace {

void CheckAsked(const Signature& signature, std::int64_t rows, std::int64_t length) {
  if (rows > 1 && !signature.hasBatchAxis) throw SignatureError("the model has no batch axis");
  if (length > 1 && signature.sequenceAxes == 0) throw SignatureError("the model has no sequence axis");
  if (length < signature.sequenceAxes) throw SignatureError("a row of two sequence axes has at least two tokens");
}

Shape ProbeShape(const TensorSpec& spec, std::int64_t rows, std::int64_t length, int sequenceAxes) {
  Shape shape = spec.shape;
  for (std::size_t d = 0; d < shape.rank; ++d) {
    switch (spec.axes[d]) {
      case Axis::kBatch:
        shape.dims[d] = rows;
        break;
      case Axis::kSequence0:
        shape.dims[d] = sequenceAxes == 2 ? length - length / 2 : length;
        break;
      case Axis::kSequence1:
        shape.dims[d] = length / 2;
        break;
      case Axis::kFixed:
        break;
      case Axis::kFree:
      case Axis::kUnknown:
        throw SignatureError("input \"" + spec.name + "\" has an axis whose lengths are not known");
    }
  }
  return shape;
}

std::vector<std::byte> Content(const TensorSpec& spec, std::int64_t count) {
  const bool isString = spec.type == ElementType::kString;
  const std::size_t elementBytes = isString ? EncodedBytes("") : ElementBytes(spec.type);
  std::vector<std::byte> content(static_cast<std::size_t>(count) * elementBytes);
  if (isString || !IsMaskName(spec.name)) return content;
  const PadValue one = EncodePadValue(spec.type, 1);
  for (std::size_t at = 0; at < content.size(); at += elementBytes) {
    std::copy_n(one.bytes.begin(), elementBytes, content.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return content;
}

}  // namespace

ProbeItem AssembleProbe(const Signature& signature, const std::vector<Shape>& shapes,
                        std::vector<std::vector<std::byte>> contents) {
  ProbeItem probe;
  probe.bytes = std::move(contents);
  probe.strings.resize(signature.inputs.size());
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    const std::vector<std::byte>& bytes = probe.bytes[i];
    probe.item.inputs.push_back({.index = static_cast<std::uint16_t>(i),
                                 .type = spec.type,
                                 .shape = shapes[i],
                                 .data = bytes.data(),
                                 .bytes = bytes.size()});
    if (spec.type == ElementType::kString) {
      const auto count = static_cast<std::size_t>(ElementCount(shapes[i]));
      DecodeStrings(bytes.data(), bytes.size(), count, probe.strings[i]);
    }
  }
  const std::string wrong = CheckItem(signature, probe.item, probe.shape);
  if (!wrong.empty()) throw SignatureError(wrong);
  return probe;
}

ProbeItem MakeProbeItem(const Signature& signature, std::int64_t rows, std::int64_t length) {
  CheckAsked(signature, rows, length);
  std::vector<Shape> shapes;
  std::vector<std::vector<std::byte>> contents;
  for (const TensorSpec& spec : signature.inputs) {
    shapes.push_back(ProbeShape(spec, rows, length, signature.sequenceAxes));
    const std::int64_t count = ElementCount(shapes.back());
    if (count < 0) throw SignatureError("input \"" + spec.name + "\" would be too large to address");
    contents.push_back(Content(spec, count));
  }
  return AssembleProbe(signature, shapes, std::move(contents));
}

}  // namespace interleave
