#include "graph/call.h"

#include <algorithm>
#include <cmath>

namespace interleave::graph {
namespace {

// Axes of one tensor: operators copy the shapes of their inputs to each of their outputs.
constexpr std::size_t kAxesMax = 64;

}  // namespace

std::string Call::Who() const {
  const std::string_view name = !node_.name.empty()     ? node_.name
                                : node_.outputs.empty() ? std::string_view()
                                                        : node_.outputs[0];
  return std::string(node_.op.substr(0, 64)) + " \"" + std::string(name.substr(0, 128)) + "\" ";
}

void Call::Mixed(std::string_view what) const { throw NoProof{true, Who() + std::string(what)}; }

void Call::Unproven(std::string_view what) const { throw NoProof{false, Who() + std::string(what)}; }

const Value& Call::In(std::size_t input) const {
  if (!Has(input)) Unproven("lacks an input");
  const Value& value = *inputs_[input];
  if (!value.hasShape) Unproven("takes a tensor of unknown shape");
  if (value.dims.size() > kAxesMax) Unproven("takes a tensor of more axes than are followed");
  return value;
}

bool Call::AnyRows(std::size_t from) const {
  return std::any_of(inputs_.begin() + static_cast<std::ptrdiff_t>(std::min(from, inputs_.size())), inputs_.end(),
                     [](const Value* value) { return value != nullptr && value->HasRows(); });
}

const Numbers& Call::Sizes(std::size_t input) {
  const Value& value = In(input);
  if (value.HasRows()) Mixed("takes a size or place from the rows' values");
  if (!value.numbers) Unproven("takes a size or place that is not known before the run");
  for (const Number& number : *value.numbers) {
    if (!(std::fabs(number.value) < 1e19)) Unproven("takes a size or place that is no number");
    if (number.opaque)
      Unproven("takes a size or place that depends on the inputs' sizes in a way that is not followed");
  }
  isSize_[input] = true;
  return *value.numbers;
}

std::vector<std::int64_t> Call::Fixed(std::size_t input) {
  std::vector<std::int64_t> fixed;
  for (const Number& number : Sizes(input)) {
    if (number.rows) Mixed("takes a place from the number of rows");
    if (!number.IsFixed() || !(std::fabs(number.value) < 1e18)) Unproven("takes a place from the inputs' sizes");
    fixed.push_back(static_cast<std::int64_t>(number.value));
  }
  return fixed;
}

const Attribute* Call::Find(std::string_view name) const {
  for (const Attribute& attribute : node_.attributes) {
    if (attribute.name != name) continue;
    if (attribute.reference.empty()) return &attribute;
    if (callAttributes_ == nullptr) return nullptr;
    const auto found = callAttributes_->find(attribute.reference);
    return found == callAttributes_->end() ? nullptr : found->second;
  }
  return nullptr;
}

const Attribute* Call::FindList(std::string_view name) const {
  const Attribute* list = Find(name);
  if (list != nullptr && list->isCut) Unproven("has a list that is longer than is looked at");
  return list;
}

std::int64_t Call::Int(std::string_view name, std::int64_t otherwise) const {
  const Attribute* attribute = Find(name);
  if (attribute == nullptr || !(std::fabs(attribute->number) < 1e18)) return otherwise;
  return static_cast<std::int64_t>(attribute->number);
}

std::optional<std::vector<std::int64_t>> Call::Ints(std::string_view name) const {
  const Attribute* attribute = FindList(name);
  if (attribute == nullptr) return std::nullopt;
  return attribute->integers;
}

std::string_view Call::Text(std::string_view name, std::string_view otherwise) const {
  const Attribute* attribute = Find(name);
  return attribute == nullptr ? otherwise : attribute->text;
}

std::optional<std::vector<std::int64_t>> Call::Axes(std::size_t input) {
  if (Has(input)) return Fixed(input);
  return Ints("axes");
}

void Call::Out(std::size_t output, Value value) {
  if (output < outputs_.size()) outputs_[output] = std::move(value);
}

std::size_t Call::Axis(std::int64_t axis, std::size_t rank) const {
  const std::int64_t counted = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
  if (counted < 0 || counted >= static_cast<std::int64_t>(rank)) Unproven("names an axis that its input does not have");
  return static_cast<std::size_t>(counted);
}

void Call::Constant(std::size_t from, std::size_t to) const {
  for (std::size_t i = from; i < std::min(to, inputs_.size()); ++i) {
    if (Has(i) && inputs_[i]->HasRows()) Unproven("takes a parameter that depends on the rows");
  }
}

std::optional<Place> SamePlace(const Value& from, const Value& to) {
  const int axis = to.RowAxis();
  if (!from.place || from.place->isFirst || axis < 0 || !IsOne(to.dims[static_cast<std::size_t>(axis)]))
    return std::nullopt;
  return from.place;
}

bool HoldsNumbers(const Numbers& dims) {
  const bool isPlain =
      std::all_of(dims.begin(), dims.end(), [](const Number& dim) { return !dim.rows && CanBeDim(dim); });
  return isPlain && Product(dims).value <= static_cast<double>(kNumbersMax);
}

Numbers Broadcast(const Call& call, const std::vector<const Numbers*>& shapes) {
  std::size_t rank = 0;
  for (const Numbers* shape : shapes) rank = std::max(rank, shape->size());
  Numbers result(rank, Number{.value = 1});
  for (const Numbers* shape : shapes) {
    const std::size_t skipped = rank - shape->size();
    for (std::size_t i = 0; i < shape->size(); ++i) {
      const Number& dim = (*shape)[i];
      Number& to = result[skipped + i];
      if (dim.Is(1) && dim.IsFixed()) continue;
      if (to.Is(1) && to.IsFixed()) {
        to = dim;
      } else if (SameSize(to, dim) || (!to.rows && !dim.rows && (to.Is(1) || dim.Is(1)))) {
        if (SameForAll(to, dim)) continue;
        // Where they differ, one of them is 1, and it need not be this one.
        if (to.rows) call.Unproven("sets several entries of each row against others, whose number may differ");
        if (to.Is(1)) to.value = dim.value;
        to.varies = true;
        to.least = std::min(to.Least(), dim.Least());
        ForgetAxes(to);
      } else if (to.rows || dim.rows)
        call.Mixed("sets the batch axis against another axis");
      else
        call.Unproven("combines tensors of different sizes");
    }
  }
  return result;
}

Value Relaid(const Call& call, const Value& from, Numbers to) {
  const Number before = Product(from.dims);
  const Number after = Product(to);
  if (before.opaque || after.opaque || !SameSize(before, after)) {
    call.Unproven("gives a shape that does not fit for every number of rows");
  }
  Value value = Shaped(std::move(to), from.type);
  const int was = from.RowAxis();
  const int is = value.RowAxis();
  if (was >= 0 && is < 0) call.Mixed("folds the batch axis into another axis");
  if (was >= 0) {
    const Number ahead = Product(from.dims, 0, static_cast<std::size_t>(was));
    const Number aheadNow = Product(value.dims, 0, static_cast<std::size_t>(is));
    if (!SameSize(ahead, aheadNow)) call.Mixed("moves values between rows");
    // A size that is equal by chance of the example proves nothing.
    if (!SameForAll(ahead, aheadNow)) call.Unproven("moves values between rows unless an axis has a certain size");
  }
  value.numbers = from.numbers;
  value.place = SamePlace(from, value);
  return value;
}

}  // namespace interleave::graph
