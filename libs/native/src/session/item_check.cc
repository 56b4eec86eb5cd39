#include "session/item_check.h"

#include <algorithm>
#include <optional>

#include "hash.h"

namespace interleave {
namespace {

std::string Prefix(const TensorSpec& spec) { return "input \"" + spec.name + "\": "; }

std::string CheckInputs(const Signature& signature, Item& item) {
  std::sort(item.inputs.begin(), item.inputs.end(),
            [](const TensorView& a, const TensorView& b) { return a.index < b.index; });
  for (std::size_t i = 0; i < item.inputs.size(); ++i) {
    const std::size_t index = item.inputs[i].index;
    if (index >= signature.inputs.size()) {
      return "input number " + std::to_string(index) + ": the model has " + std::to_string(signature.inputs.size()) +
             " inputs";
    }
    if (index < i) return Prefix(signature.inputs[index]) + "given twice";
    if (index > i) return Prefix(signature.inputs[i]) + "missing";
  }
  if (item.inputs.size() < signature.inputs.size()) {
    return Prefix(signature.inputs[item.inputs.size()]) + "missing";
  }
  return "";
}

std::string CheckTensor(const TensorSpec& spec, const TensorView& view) {
  if (view.type != spec.type) {
    return Prefix(spec) + "expected " + std::string(DatatypeName(spec.type)) + " but received " +
           std::string(DatatypeName(view.type));
  }
  bool fits = view.shape.rank == spec.shape.rank;
  for (std::size_t i = 0; fits && i < spec.shape.rank; ++i) {
    fits = view.shape.dims[i] >= 0 && view.shape.dims[i] <= INT32_MAX &&
           (spec.shape.dims[i] < 0 || spec.shape.dims[i] == view.shape.dims[i]);
  }
  const std::int64_t elements = fits ? ElementCount(view.shape) : -1;
  if (!fits || elements < 0) {
    return Prefix(spec) + "expected shape " + ShapeText(spec.shape) + " but received " + ShapeText(view.shape);
  }
  const auto bytesPerElement = static_cast<std::int64_t>(ElementBytes(spec.type));
  const auto bytes = static_cast<std::int64_t>(view.bytes);
  // Every string has at least its own length in front.
  const bool isString = spec.type == ElementType::kString;
  const std::int64_t expected = elements * (isString ? std::int64_t{sizeof(std::uint32_t)} : bytesPerElement);
  if (isString ? bytes < expected : bytes != expected) {
    return Prefix(spec) + "expected " + (isString ? "at least " : "") + std::to_string(expected) +
           " bytes for shape " + ShapeText(view.shape) + " but received " + std::to_string(bytes);
  }
  return "";
}

// The dimensions that the inputs of one item share: each is set by the first input that has it.
class SharedDimensions {
 public:
  // Returns what is wrong; empty when `value` is what the item's other inputs say as well.
  std::string Agree(Axis axis, std::int64_t value, const TensorSpec& spec) {
    const char* const what = axis == Axis::kBatch ? "rows" : "as sequence length";
    Slot& slot = slots_[axis == Axis::kBatch ? 2 : static_cast<std::size_t>(SequenceIndex(axis))];
    if (!slot.value) slot = {value, &spec};
    if (*slot.value == value) return "";
    return Prefix(spec) + "expected " + std::to_string(*slot.value) + ' ' + what + " as in input \"" +
           slot.from->name + "\" but received " + std::to_string(value);
  }
  std::int64_t Length(std::size_t k) const { return slots_[k].value.value_or(0); }
  std::int64_t Rows() const { return slots_[2].value.value_or(1); }

 private:
  struct Slot {
    std::optional<std::int64_t> value;
    const TensorSpec* from = nullptr;
  };
  std::array<Slot, 3> slots_;
};

}  // namespace

std::string CheckItem(const Signature& signature, Item& item, ItemShape& shape) {
  std::string wrong = CheckInputs(signature, item);
  SharedDimensions shared;
  for (std::size_t i = 0; i < signature.inputs.size() && wrong.empty(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    const TensorView& view = item.inputs[i];
    wrong = CheckTensor(spec, view);
    for (std::size_t d = 0; d < spec.shape.rank && wrong.empty(); ++d) {
      const std::int64_t value = view.shape.dims[d];
      if (value == 0) shape.isEmpty = true;
      if (spec.axes[d] == Axis::kFree) {
        shape.shapeKey = Mix(shape.shapeKey, static_cast<std::uint64_t>(value));
      } else if (spec.axes[d] != Axis::kFixed) {
        wrong = shared.Agree(spec.axes[d], value, spec);
      }
    }
  }
  if (!wrong.empty()) return wrong;
  shape.rows = shared.Rows();
  shape.lengths = {shared.Length(0), shared.Length(1)};
  if (shape.rows < 1 || shape.rows > kItemRowsMax) {
    return Prefix(signature.inputs[0]) + "expected 1 to " + std::to_string(kItemRowsMax) + " rows but received " +
           std::to_string(shape.rows);
  }
  const std::size_t outputs = signature.outputs.size();
  const std::uint64_t known = outputs >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << outputs) - 1;
  if ((item.outputMask & ~known) != 0) {
    return "outputs: the model has " + std::to_string(outputs) + " outputs but another one was asked for";
  }
  if (item.outputMask == 0) item.outputMask = known;
  return "";
}

std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  const std::size_t rank = std::min<std::size_t>(shape.rank, kRankMax);
  for (std::size_t i = 0; i < rank; ++i) text += (i ? "," : "") + std::to_string(shape.dims[i]);
  return text + "]";
}

std::int64_t ElementCount(const Shape& shape) {
  std::int64_t count = 1;
  for (std::size_t i = 0; i < shape.rank; ++i) {
    if (shape.dims[i] < 0 || __builtin_mul_overflow(count, shape.dims[i], &count)) return -1;
  }
  // Leaves room to multiply by the bytes of an element.
  return count > (std::int64_t{1} << 58) ? -1 : count;
}

}  // namespace interleave
