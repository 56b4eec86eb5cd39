#include "graph/interpreter.h"

#include <algorithm>
#include <array>

#include "graph/intervals.h"
#include "graph/padding.h"
#include "graph/place_keeping.h"

namespace interleave::graph {
namespace {

constexpr std::size_t kStepsMax = 50'000;
constexpr int kDepthMax = 32;
constexpr int kOpsetDefault = 1;
// Operators looked at, values kept, and the axes and numbers of these: a body's are kept anew each time that it runs.
constexpr std::size_t kWorkMax = 8'000'000;

using Names = std::unordered_set<std::string_view>;

void AddNames(const Graph& graph, Names& names) {
  for (const Declared& output : graph.outputs) names.insert(output.name);
  for (const Node& node : graph.nodes) {
    names.insert(node.inputs.begin(), node.inputs.end());
    for (const Attribute& attribute : node.attributes) {
      if (attribute.graph) AddNames(*attribute.graph, names);
    }
  }
}

// The names that `outputs` depend on: what else a graph computes, the runtime leaves out.
Names Wanted(const std::vector<Node>& nodes, Names wanted) {
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const bool isWanted =
        std::any_of(node->outputs.begin(), node->outputs.end(), [&](auto name) { return wanted.contains(name); });
    if (!isWanted) continue;
    wanted.insert(node->inputs.begin(), node->inputs.end());
    for (const Attribute& attribute : node->attributes) {
      if (attribute.graph) AddNames(*attribute.graph, wanted);
    }
  }
  return wanted;
}

Names NamesOf(const std::vector<Declared>& outputs) {
  Names names;
  for (const Declared& output : outputs) names.insert(output.name);
  return names;
}

// A state of a loop: its numbers are another turn's.
Value State(Value value) {
  value.counted = value.IsCounted();
  value.lengthy = value.IsLengthy();
  value.numbers.reset();
  value.place.reset();
  value.padding.hidden = value.padding.shown = {};
  return value;
}

// Sizes that are equal in the example alone are not the same in every turn or branch.
void ForgetWhereOther(Value& value, const Value& other) {
  for (std::size_t i = 0; i < value.dims.size() && i < other.dims.size(); ++i) {
    if (SameForAll(value.dims[i], other.dims[i])) continue;
    value.dims[i].least = std::min(value.dims[i].Least(), other.dims[i].Least());
    value.dims[i].varies = true;
    ForgetAxes(value.dims[i]);
  }
}

bool SameAxes(const Value& a, const Value& b) {
  return std::equal(a.dims.begin(), a.dims.end(), b.dims.begin(), b.dims.end(), [](const Number& x, const Number& y) {
    return SameForAll(x, y) || (x.varies && y.varies && x.factor == 0 && y.factor == 0);
  });
}

bool DependsOnLength(const Value& value) {
  const auto varies = [](const Number& number) { return number.varies && !number.rows; };
  return std::any_of(value.dims.begin(), value.dims.end(), varies) ||
         (value.numbers && std::any_of(value.numbers->begin(), value.numbers->end(), varies));
}

bool TakesData(const Call& call) {
  if (call.node().domain.empty() && (call.node().op == "Shape" || call.node().op == "Size")) return false;
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (call.Has(i) && call.Raw(i)->IsData()) return true;
  }
  return false;
}

Value Scalar() { return Shaped({}, kInt64); }

}  // namespace

const Value* Interpreter::Frame::Find(std::string_view name) const {
  for (const Frame* frame = this; frame != nullptr; frame = frame->outer) {
    const auto found = frame->values.find(name);
    if (found != frame->values.end()) return &found->second;
  }
  return nullptr;
}

std::vector<Value> Interpreter::Run(const std::unordered_map<std::string_view, Value>& inputs) {
  Frame frame{.opsets = &model_.opsets};
  AddInitializers(model_.graph, frame);
  for (const auto& [name, value] : inputs) frame.values.emplace(name, value);
  RunNodes(model_.graph.nodes, Wanted(model_.graph.nodes, NamesOf(model_.graph.outputs)), frame);
  std::vector<Value> outputs;
  for (const Declared& output : model_.graph.outputs) {
    const Value* value = frame.Find(output.name);
    if (value == nullptr) throw NoProof{false, "output \"" + std::string(output.name) + "\" is not computed"};
    outputs.push_back(*value);
  }
  return outputs;
}

void Interpreter::Spend(std::size_t work) {
  work_ += work;
  if (work_ > kWorkMax) throw NoProof{false, "the model holds more than is looked at"};
}

void Interpreter::Store(std::string_view name, Value value, Frame& frame) {
  Spend(1 + value.dims.size() + (value.numbers ? value.numbers->size() : 0));
  frame.values[name] = std::move(value);
}

void Interpreter::AddInitializers(const Graph& graph, Frame& frame) {
  for (const Tensor& tensor : graph.initializers) Store(tensor.name, ValueOf(tensor), frame);
}

void Interpreter::RunNodes(const std::vector<Node>& nodes, const Names& wanted, Frame& frame) {
  Spend(nodes.size());
  for (const Node& node : nodes) {
    const bool isWanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                      [&](auto name) { return !name.empty() && wanted.contains(name); });
    if (isWanted) RunNode(node, frame);
  }
}

void Interpreter::RunNode(const Node& node, Frame& frame) {
  const auto version = frame.opsets->find(node.domain);
  std::vector<const Value*> inputs;
  for (const std::string_view name : node.inputs) inputs.push_back(name.empty() ? nullptr : frame.Find(name));
  Call call(node, version == frame.opsets->end() ? kOpsetDefault : version->second, std::move(inputs),
            frame.attributes);
  if (++steps_ > kStepsMax) call.Unproven("comes after more operators than are looked at");
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (!node.inputs[i].empty() && !call.Has(i)) call.Unproven("uses a value that nothing gives");
    if (call.Has(i) && call.Raw(i)->unfollowed)
      call.Unproven("uses a value that depends on rows in a way that is not followed");
  }
  Apply(call, frame);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].empty()) Store(node.outputs[i], std::move(*call.outputs()[i]), frame);
  }
}

void Interpreter::Apply(Call& call, Frame& frame) {
  const Node& node = call.node();
  const auto function = model_.functions.find({node.domain, node.op});
  if (function != model_.functions.end()) {
    CheckFunction(function->second, call);
    std::vector<Value> outputs = RunFunction(function->second, call);
    for (std::size_t i = 0; i < call.outputsCount() && i < outputs.size(); ++i) call.Out(i, std::move(outputs[i]));
    return Keep(call, call.outputs());
  }
  if (node.domain.empty() && node.op == "If") return RunIf(call, frame);
  if (node.domain.empty() && node.op == "Loop") return RunLoop(call, frame);
  if (node.domain.empty() && node.op == "Scan") return RunScan(call, frame);
  RunRule(call, FindRule(node.domain, node.op));
}

void Interpreter::CheckFunction(const Function& function, const Call& call) const {
  // Where the runtime has an operator of the name, it runs that one.
  constexpr std::array<std::string_view, 4> kOfRuntime{"ai.onnx", "com.microsoft", "com.ms", "org.pytorch.aten"};
  const auto isStart = [&](std::string_view domain) { return function.domain.starts_with(domain); };
  const bool isOfRuntime = std::any_of(kOfRuntime.begin(), kOfRuntime.end(), isStart);
  if (function.domain.empty() || isOfRuntime) call.Unproven("is a function in a domain of the runtime's own operators");
  // The runtime runs its operators in the versions of the model.
  for (const auto& [domain, version] : function.opsets) {
    const auto known = model_.opsets.find(domain);
    if (known == model_.opsets.end() || known->second != version)
      call.Unproven("is a function of another operator set than the model");
  }
}

void Interpreter::RunRule(Call& call, Rule rule) {
  const bool isFree = !call.AnyRows();
  const bool hasGraph = std::any_of(call.node().attributes.begin(), call.node().attributes.end(),
                                    [](const Attribute& attribute) { return attribute.graph != nullptr; });
  if (rule == nullptr && (!isFree || hasGraph)) call.Unproven("is an operator whose treatment of rows is not known");
  try {
    if (rule != nullptr) rule(call);
    Keep(call, call.outputs());
  } catch (const NoProof& proof) {
    // Without rows in it, it can still be a part of the model that is the same for all.
    if (proof.mixed || !isFree) throw;
    for (auto& output : call.outputs()) output.reset();
    Keep(call, call.outputs());
  }
  FollowPadding(call, paddingUse_);
  if (!TakesData(call)) FindEnds(call);
}

void Interpreter::Keep(const Call& call, std::vector<std::optional<Value>>& outputs) {
  bool counted = false;
  bool takesCount = false;
  bool rows = false;
  bool lengthy = false;
  bool isMarked = false;
  bool isData = false;
  for (std::size_t i = 0; i < call.size(); ++i) {
    const Value* value = call.Raw(i);
    if (value == nullptr) continue;
    takesCount = takesCount || value->IsCounted();
    if (call.IsSize(i)) continue;
    counted = counted || value->IsCounted();
    lengthy = lengthy || value->IsLengthy();
    isMarked = isMarked || value->lengthy;
    isData = isData || value->IsData();
    rows = rows || (value->HasRows() && !value->IsCounted());
  }
  if (lengthy && isData) UseLength(call);
  if (counted && rows) call.Mixed("computes with the number of rows or a row's place among them");
  for (auto& output : outputs) {
    if (!output) {
      output.emplace();
      output->unfollowed = rows;
      output->counted = takesCount;
      output->lengthy = lengthy;
      continue;
    }
    const auto axes =
        std::count_if(output->dims.begin(), output->dims.end(), [](const Number& dim) { return dim.rows; });
    if (axes > 1) call.Mixed("spreads the batch axis over two axes");
    if (!std::all_of(output->dims.begin(), output->dims.end(), CanBeDim)) {
      call.Unproven("has a shape that depends on the inputs' sizes in a way that is not followed");
    }
    for (Number& dim : output->dims) {
      // A size is never negative, but a part or a window may well be 0.
      if (dim.varies) dim.least = std::max(dim.least, 0.0);
      if (dim.varies && dim.factor == 0) {
        dim.factor = 1;
        dim.axes = {0, 0, 0, ++axesCount_};
      }
    }
    if (rows && axes == 0 && !output->numbers) call.Unproven("loses the batch axis");
    // In a list of followed numbers each says for itself whether it is a length.
    output->lengthy = output->lengthy || (output->numbers ? isMarked : lengthy);
    if (!output->numbers) output->counted = output->counted || counted;
  }
}

void Interpreter::FindEnds(Call& call) {
  bool depends = false;
  for (std::size_t i = 0; i < call.size(); ++i) depends = depends || (call.Has(i) && DependsOnLength(*call.Raw(i)));
  if (!depends || KeepsPlaces(call)) return;
  for (auto& output : call.outputs()) output->lengthy = true;
}

void Interpreter::UseLength(const Call& call) {
  if (lengthUse_.empty()) lengthUse_ = call.Who() + "computes with the length that rows are padded to";
}

std::vector<Value> Interpreter::RunFunction(const Function& function, const Call& call) {
  if (++depth_ > kDepthMax) call.Unproven("is nested too deep");
  CallAttributes attributes;
  for (const Attribute& attribute : function.defaults) attributes[attribute.name] = &attribute;
  for (const Attribute& attribute : call.node().attributes) {
    if (const Attribute* found = call.Find(attribute.name)) attributes[attribute.name] = found;
  }
  Frame frame{.opsets = function.opsets.empty() ? &model_.opsets : &function.opsets, .attributes = &attributes};
  for (std::size_t i = 0; i < function.inputs.size() && i < call.size(); ++i) {
    if (call.Has(i)) frame.values[function.inputs[i]] = *call.Raw(i);
  }
  RunNodes(function.nodes, Wanted(function.nodes, Names(function.outputs.begin(), function.outputs.end())), frame);
  std::vector<Value> outputs;
  for (const std::string_view name : function.outputs) {
    const Value* value = frame.Find(name);
    if (value == nullptr) call.Unproven("is a function with an output that is not computed");
    outputs.push_back(*value);
  }
  --depth_;
  return outputs;
}

std::vector<Value> Interpreter::RunBody(const Call& call, std::string_view name, std::vector<Value> inputs,
                                        Frame& outer) {
  const Attribute* attribute = call.Find(name);
  if (attribute == nullptr || !attribute->graph) call.Unproven("lacks its graph");
  if (++depth_ > kDepthMax) call.Unproven("is nested too deep");
  const Graph& graph = *attribute->graph;
  if (graph.inputs.size() != inputs.size()) call.Unproven("does not fit its graph");
  Frame frame{.outer = &outer, .opsets = outer.opsets, .attributes = outer.attributes};
  AddInitializers(graph, frame);
  for (std::size_t i = 0; i < inputs.size(); ++i) frame.values[graph.inputs[i].name] = std::move(inputs[i]);
  RunNodes(graph.nodes, Wanted(graph.nodes, NamesOf(graph.outputs)), frame);
  std::vector<Value> outputs;
  for (const Declared& output : graph.outputs) {
    const Value* value = frame.Find(output.name);
    if (value == nullptr) call.Unproven("has a graph with an output that is not computed");
    outputs.push_back(*value);
  }
  --depth_;
  return outputs;
}

void Interpreter::RunIf(Call& call, Frame& frame) {
  const Value* condition = call.Raw(0);
  if (condition == nullptr) call.Unproven("lacks its condition");
  if (condition->HasRows()) call.Mixed("decides for all rows at once by their values");
  if (condition->IsCounted()) call.Mixed("decides by the number of rows");
  const bool isOne = condition->numbers && condition->numbers->size() == 1 && Product(condition->dims).IsFixed();
  const bool isKnown = isOne && Held(condition->numbers->front(), kBool).IsFixed();
  if (isKnown) {
    const char* branch = condition->numbers->front().value != 0 ? "then_branch" : "else_branch";
    std::vector<Value> outputs = RunBody(call, branch, {}, frame);
    for (std::size_t i = 0; i < outputs.size(); ++i) call.Out(i, std::move(outputs[i]));
    return Keep(call, call.outputs());
  }
  UseLength(call);
  std::vector<Value> yes = RunBody(call, "then_branch", {}, frame);
  const std::vector<Value> no = RunBody(call, "else_branch", {}, frame);
  if (yes.size() != no.size()) call.Unproven("has branches that do not fit each other");
  for (std::size_t i = 0; i < yes.size(); ++i) {
    if (!SameShape(yes[i], no[i])) call.Unproven("has branches that give different shapes");
    Value either = State(yes[i]);
    ForgetWhereOther(either, no[i]);
    either.counted = either.counted || no[i].IsCounted();
    either.lengthy = either.lengthy || no[i].lengthy;
    either.padding = EitherPadding(either.padding, no[i].padding);
    call.Out(i, std::move(either));
  }
  Keep(call, call.outputs());
}

std::vector<Value> Interpreter::RunToRest(const Call& call, std::vector<Value> head, std::vector<Value> states,
                                          const std::vector<Value>& tail, std::size_t outputsBefore, Frame& frame) {
  constexpr int kTurnsMax = 4;
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    std::vector<Value> inputs = head;
    for (Value& state : states) inputs.push_back(state = State(std::move(state)));
    inputs.insert(inputs.end(), tail.begin(), tail.end());
    std::vector<Value> outputs = RunBody(call, "body", std::move(inputs), frame);
    if (outputs.size() < outputsBefore + states.size()) call.Unproven("does not fit its graph");
    bool rests = true;
    for (std::size_t i = 0; i < states.size(); ++i) {
      Value next = State(outputs[outputsBefore + i]);
      ForgetWhereOther(next, states[i]);
      next.lengthy = next.lengthy || states[i].lengthy;
      next.padding = EitherPadding(next.padding, states[i].padding);
      rests = rests && SameShape(next, states[i]) && SameAxes(next, states[i]) && next.counted == states[i].counted &&
              next.lengthy == states[i].lengthy && next.padding.kind == states[i].padding.kind;
      next.counted = next.counted || states[i].counted;
      states[i] = std::move(next);
      outputs[outputsBefore + i] = states[i];
    }
    if (rests) return outputs;
  }
  call.Unproven("changes the shapes of its values from turn to turn");
}

void Interpreter::RunLoop(Call& call, Frame& frame) {
  std::vector<Value> states;
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (i < 2 && call.Has(i) && (call.Raw(i)->HasRows() || call.Raw(i)->IsCounted())) {
      call.Mixed("takes as many turns as the rows say together");
    }
    if (i < 2 && call.Has(i) && (call.Raw(i)->IsLengthy() || DependsOnLength(*call.Raw(i)))) UseLength(call);
    if (i >= 2) states.push_back(call.Raw(i) == nullptr ? Value{} : *call.Raw(i));
  }
  const std::size_t statesCount = states.size();
  std::vector<Value> outputs = RunToRest(call, {Scalar(), Scalar()}, std::move(states), {}, 1, frame);
  if (outputs[0].HasRows() || outputs[0].IsCounted()) call.Mixed("goes on until all rows are done");
  for (std::size_t i = 1; i < outputs.size(); ++i) {
    Value value = State(std::move(outputs[i]));
    if (i > statesCount) {  // a list over the turns, whose number is not known
      value.unfollowed = value.HasRows();
      value.hasShape = false;
      value.dims.clear();
    }
    call.Out(i - 1, std::move(value));
  }
  Keep(call, call.outputs());
}

void Interpreter::RunScan(Call& call, Frame& frame) {
  const std::int64_t scans = call.Int("num_scan_inputs", 0);
  if (call.opset() < 9 || scans < 1 || scans > static_cast<std::int64_t>(call.size()))
    call.Unproven("has a form that is not followed");
  const std::size_t statesCount = call.size() - static_cast<std::size_t>(scans);
  const auto inputAxes = call.Ints("scan_input_axes").value_or(std::vector<std::int64_t>());
  const auto outputAxes = call.Ints("scan_output_axes").value_or(std::vector<std::int64_t>());
  std::vector<Value> states;
  std::vector<Value> slices;
  Number turns;
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (i < statesCount) {
      states.push_back(call.In(i));
      continue;
    }
    Value slice = call.In(i);
    const std::size_t scan = i - statesCount;
    const std::size_t axis = call.Axis(scan < inputAxes.size() ? inputAxes[scan] : 0, slice.dims.size());
    call.NotAlong(i, axis, "goes along the batch axis step by step");
    turns = slice.dims[axis];
    slice.dims.erase(slice.dims.begin() + static_cast<std::ptrdiff_t>(axis));
    slices.push_back(State(std::move(slice)));
  }
  std::vector<Value> outputs = RunToRest(call, {}, std::move(states), slices, 0, frame);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Value value = State(std::move(outputs[i]));
    if (i >= statesCount && value.hasShape) {
      const std::size_t scan = i - statesCount;
      const std::size_t axis = call.Axis(scan < outputAxes.size() ? outputAxes[scan] : 0, value.dims.size() + 1);
      value.dims.insert(value.dims.begin() + static_cast<std::ptrdiff_t>(axis), turns);
    }
    call.Out(i, std::move(value));
  }
  Keep(call, call.outputs());
}

Value ValueOf(const Tensor& tensor) {
  Value value;
  value.hasShape = true;
  value.type = tensor.type;
  for (const std::int64_t dim : tensor.dims) value.dims.push_back({.value = static_cast<double>(dim)});
  if (!tensor.numbers) {
    value.padding.hidden = value.padding.shown = RangeOfHalves(tensor);
    return value;
  }
  value.numbers.emplace();
  for (const double number : *tensor.numbers) value.numbers->push_back({.value = number});
  return value;
}

}  // namespace interleave::graph
