#include "session/item_check.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "hash.h"
#include "session/pad_value.h"

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
    return Prefix(spec) + "expected " + (isString ? "at least " : "") + std::to_string(expected) + " bytes for shape " +
           ShapeText(view.shape) + " but received " + std::to_string(bytes);
  }
  return "";
}

// The dimensions that the inputs of one item share, by the names that the graph gives them. Names are a hint: exporters
// give one name to axes that may differ, so a difference is for ONNX Runtime to judge.
class SharedDimensions {
 public:
  void Add(Axis axis, std::int64_t value, const TensorSpec& spec) {
    Slot& slot = slots_[axis == Axis::kBatch ? 2 : static_cast<std::size_t>(SequenceIndex(axis))];
    if (slot.from == nullptr) slot = {value, value, &spec};
    slot.largest = std::max(slot.largest, value);
    if (slot.first == value || !difference_.empty()) return;
    difference_ = Prefix(spec) + "expected " + std::to_string(slot.first) +
                  (axis == Axis::kBatch ? " rows" : " as sequence length") + " as in input \"" + slot.from->name +
                  "\" but received " + std::to_string(value);
  }
  std::int64_t Length(std::size_t k) const { return slots_[k].largest; }
  std::int64_t Rows() const { return slots_[2].from == nullptr ? 1 : slots_[2].largest; }
  // The first one; empty: there is none.
  const std::string& difference() const { return difference_; }

 private:
  struct Slot {
    std::int64_t first = 0;
    std::int64_t largest = 0;
    const TensorSpec* from = nullptr;
  };
  std::array<Slot, 3> slots_;
  std::string difference_;
};

SharedDimensions Share(const Signature& signature, const Item& item) {
  SharedDimensions shared;
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    for (std::size_t d = 0; d < spec.shape.rank; ++d) {
      if (spec.axes[d] != Axis::kFixed && spec.axes[d] != Axis::kFree) {
        shared.Add(spec.axes[d], item.inputs[i].shape.dims[d], spec);
      }
    }
  }
  return shared;
}

bool IsAllOnes(const TensorView& view) {
  const PadValue one = EncodePadValue(view.type, 1);
  const std::size_t elementBytes = ElementBytes(view.type);
  for (std::size_t at = 0; at < view.bytes; at += elementBytes) {
    if (std::memcmp(view.data + at, one.bytes.data(), elementBytes) != 0) return false;
  }
  return true;
}

bool MayBePadded(const Signature& signature, const Item& item) {
  if (signature.coalesce != CoalesceMode::kPadded || signature.sequenceAxes == 0) return true;  // asked of no other
  return std::all_of(item.inputs.begin(), item.inputs.end(), [&](const TensorView& view) {
    return !IsMaskName(signature.inputs[view.index].name) || (view.type != ElementType::kString && IsAllOnes(view));
  });
}

// Fills `shape` for inputs that each fit their declaration.
void Measure(const Signature& signature, const Item& item, ItemShape& shape) {
  const SharedDimensions shared = Share(signature, item);
  shape.rows = shared.Rows();
  shape.lengths = {shared.Length(0), shared.Length(1)};
  shape.mayBePadded = MayBePadded(signature, item);
  shape.isOdd = !shared.difference().empty();
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    for (std::size_t d = 0; d < spec.shape.rank; ++d) {
      const std::int64_t value = item.inputs[i].shape.dims[d];
      shape.isOdd = shape.isOdd || value == 0;
      if (spec.axes[d] == Axis::kFree) shape.shapeKey = Mix(shape.shapeKey, static_cast<std::uint64_t>(value));
    }
  }
}

}  // namespace

std::string CheckItem(const Signature& signature, Item& item, ItemShape& shape) {
  std::string wrong = CheckInputs(signature, item);
  for (std::size_t i = 0; i < signature.inputs.size() && wrong.empty(); ++i) {
    wrong = CheckTensor(signature.inputs[i], item.inputs[i]);
  }
  if (!wrong.empty()) return wrong;
  Measure(signature, item, shape);
  if (shape.rows > kItemRowsMax) {
    return Prefix(signature.inputs[0]) + "expected at most " + std::to_string(kItemRowsMax) + " rows but received " +
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

std::string Disagreement(const Signature& signature, const Item& item) { return Share(signature, item).difference(); }

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
