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

ProbeItem MakeProbeItem(const Signature& signature, std::int64_t rows, std::int64_t length) {
  CheckAsked(signature, rows, length);
  const std::size_t inputsCount = signature.inputs.size();
  ProbeItem probe;
  probe.bytes.resize(inputsCount);
  probe.strings.resize(inputsCount);
  for (std::size_t i = 0; i < inputsCount; ++i) {
    const TensorSpec& spec = signature.inputs[i];
    const Shape shape = ProbeShape(spec, rows, length, signature.sequenceAxes);
    const std::int64_t count = ElementCount(shape);
    if (count < 0) throw SignatureError("input \"" + spec.name + "\" would be too large to address");
    probe.bytes[i] = Content(spec, count);
    const std::vector<std::byte>& bytes = probe.bytes[i];
    probe.item.inputs.push_back({.index = static_cast<std::uint16_t>(i),
                                 .type = spec.type,
                                 .shape = shape,
                                 .data = bytes.data(),
                                 .bytes = bytes.size()});
    if (spec.type == ElementType::kString) {
      DecodeStrings(bytes.data(), bytes.size(), static_cast<std::size_t>(count), probe.strings[i]);
    }
  }
  const std::string wrong = CheckItem(signature, probe.item, probe.shape);
  if (!wrong.empty()) throw SignatureError(wrong);
  return probe;
}

}  // namespace interleave
