#include "session/session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "graph/row_proof.h"
#include "session/open_session.h"
#include "session/tensor_box.h"

namespace interleave {
namespace {

// OnnxType of ONNX Runtime's C API.
constexpr int kOnnxTensor = 1;
constexpr int kOnnxSequence = 2;
constexpr int kOnnxMap = 3;
constexpr int kOnnxOptional = 6;

graph::PaddedInputs PaddedInputsOf(const Signature& signature, const std::map<std::string, double>& padValues) {
  graph::PaddedInputs padded;
  for (const TensorSpec& spec : signature.inputs) {
    const auto isSequence = [](Axis axis) { return SequenceIndex(axis) >= 0; };
    if (std::none_of(spec.axes.begin(), spec.axes.begin() + spec.shape.rank, isSequence)) continue;
    const auto given = padValues.find(spec.name);
    (IsMaskName(spec.name) ? padded.masks : padded.ids)[spec.name] = given == padValues.end() ? 0 : given->second;
  }
  return padded;
}

// Axes that item_check.h compares before a run of several rows. Free axes of one name may differ.
graph::EqualAxes EqualAxesOf(const Signature& signature) {
  graph::EqualAxes equal;
  for (const TensorSpec& input : signature.inputs) {
    for (std::size_t d = 0; d < input.shape.rank; ++d) {
      const int index = SequenceIndex(input.axes[d]);
      if (index >= 0) equal.push_back({.input = input.name, .axis = d, .number = index});
    }
  }
  return equal;
}

// Axis names prove nothing: rows are merged when the graph shows that they are independent, or when the owner says so.
Signature Proven(Signature signature, const ModelOptions& options) {
  if (signature.coalesce == CoalesceMode::kAlone) return signature;
  if (options.axes.mergeRows == MergeRows::kAlways) {
    MarkRows(signature);
    return signature;
  }
  const graph::RowProof proof =
      graph::ProveRowsOfFile(options.modelPath, EqualAxesOf(signature), PaddedInputsOf(signature, options.padValues));
  if (proof.verdict == graph::RowVerdict::kIndependent) {
    MarkRows(signature);
    for (const TensorSpec& spec : signature.inputs) {
      const auto ids = proof.extremeIds.find(spec.name);
      signature.extremeIds.push_back(ids == proof.extremeIds.end() ? std::vector<std::int64_t>() : ids->second);
    }
    const bool trusts = options.axes.paddingIsSafe == true;
    std::string use = proof.lengthUse;
    if (use.empty() && !trusts && !proof.paddingUse.empty()) use = proof.paddingUse + kPaddingAdvice;
    if (signature.coalesce != CoalesceMode::kPadded || signature.sequenceAxes == 0 || use.empty()) return signature;
    signature.coalesce = CoalesceMode::kEqualLength;
    signature.coalesceReason = "padding could change answers: " + use;
    return signature;
  }
  const bool isMixed = proof.verdict == graph::RowVerdict::kMixed;
  signature.coalesce = CoalesceMode::kAlone;
  signature.coalesceReason =
      (isMixed ? "rows are not independent: " : "rows are not proven independent: ") + proof.reason;
  return signature;
}

std::vector<const char*> Names(const std::vector<TensorSpec>& specs) {
  std::vector<const char*> names;
  for (const TensorSpec& spec : specs) names.push_back(spec.name.c_str());
  return names;
}

// Why an input or output of this kind is not served, and what would work.
std::string NotATensor(const std::string& name, int kind, bool isOutput) {
  const std::string what = std::string(isOutput ? "output" : "input") + " \"" + name + "\" is ";
  switch (kind) {
    case kOnnxSequence:
      return what + "a sequence, and only tensors are served; " +
             (isOutput ? "convert the model so that it ends in tensors: without ZipMap (skl2onnx: options={id(model): "
                         "{'zipmap': False}}; onnxmltools: zipmap=False), or with ConcatFromSequence as its last node"
                       : "let the graph begin with a tensor and SplitToSequence");
    case kOnnxMap:
      return what + "a map, and only tensors are served; " +
             (isOutput ? "convert the model without ZipMap (skl2onnx: options={id(model): {'zipmap': False}}; "
                         "onnxmltools: zipmap=False)"
                       : "convert the model for tensors, with dictionaries turned into columns by the caller");
    case kOnnxOptional:
      return what + "optional, and only tensors are served; declare it as a tensor" +
             (isOutput ? "" : ", or leave it out of the graph");
    default:
      return what + "no dense tensor, and only those are served; let the graph " + (isOutput ? "end" : "begin") +
             " with a dense one";
  }
}

std::size_t TensorBytes(const Shape& shape, ElementType type) {
  return static_cast<std::size_t>(ElementCount(shape)) * ElementBytes(type);
}

// A byte other than 0 and 1 is no C++ bool.
void NormalizeBools(std::byte* data, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) data[i] = data[i] == std::byte{0} ? std::byte{0} : std::byte{1};
}

// A string output of a run as the runtime holds it: all bytes in one piece, and where each element starts.
struct StringContent {
  StringContent(const ort::OrtLibrary& library, const ort::Value* value, std::size_t count) : offsets(count + 1) {
    std::size_t size = 0;
    library.Check(library.api().GetStringTensorDataLength(value, &size));
    bytes.resize(size);
    library.Check(library.api().GetStringTensorContent(value, bytes.data(), size, offsets.data(), count));
    offsets[count] = size;
  }
  std::string_view At(std::int64_t element) const {
    const auto i = static_cast<std::size_t>(element);
    return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
  std::string bytes;
  std::vector<std::size_t> offsets;
};

// Where one item's part of an output goes.
struct OutputPart {
  const RunOutput& output;
  Shape shape;
  std::int64_t rowStart;
  Responder& responder;

  std::byte* Reserve(std::size_t bytes) const {
    return responder.AddOutput(static_cast<std::uint16_t>(output.index), output.type, shape, bytes);
  }
  BoxWalk Walk() const { return {output.shape, shape, rowStart}; }
};

// Writes the part unless `fits` is false already; sets it when the part does not fit. Returns the part's bytes.
std::size_t WriteStrings(const ort::OrtLibrary& library, const OutputPart& part, bool& fits) {
  const auto elements = static_cast<std::size_t>(ElementCount(part.output.shape));
  const StringContent content(library, part.output.value.get(), elements);
  std::size_t bytes = 0;
  BoxWalk measure = part.Walk();
  for (std::int64_t i = measure.Next(); i >= 0; i = measure.Next()) bytes += EncodedBytes(content.At(i));
  std::byte* to = fits ? part.Reserve(bytes) : nullptr;
  fits = to != nullptr;
  BoxWalk walk = part.Walk();
  for (std::int64_t i = walk.Next(); fits && i >= 0; i = walk.Next()) to = EncodeString(to, content.At(i));
  return bytes;
}

std::size_t WriteNumbers(const ort::OrtLibrary& library, const OutputPart& part, bool& fits) {
  void* data = nullptr;
  library.Check(library.api().GetTensorMutableData(part.output.value.get(), &data));
  const std::size_t bytes = TensorBytes(part.shape, part.output.type);
  std::byte* const to = fits ? part.Reserve(bytes) : nullptr;
  fits = to != nullptr;
  if (fits) {
    CutFromRun(to, part.shape, static_cast<const std::byte*>(data), part.output.shape, part.rowStart,
               ElementBytes(part.output.type));
  }
  return bytes;
}

}  // namespace

std::unique_ptr<Session> Session::Load(std::shared_ptr<const ort::OrtLibrary> library, const ModelOptions& options) {
  return std::unique_ptr<Session>(new Session(std::move(library), options));
}

Session::Session(std::shared_ptr<const ort::OrtLibrary> library, const ModelOptions& options)
    : library_(std::move(library)),
      cuda_(options.cuda),
      teams_(OpenTeams(*library_, options)),
      signature_(Proven(InferSignature(ReadDeclarations(false), ReadDeclarations(true), options.axes), options)),
      inputNames_(Names(signature_.inputs)),
      outputNames_(Names(signature_.outputs)),
      outputAxes_(signature_) {
  SetPadValues(options.padValues);
}

std::vector<Session::Team> Session::OpenTeams(const ort::OrtLibrary& library, const ModelOptions& options) {
  std::vector<Team> teams;
  for (std::size_t team = 0; team < options.helpers.cpus.size(); ++team) {
    auto prepare = [prepare = options.helpers.prepare, team](int cpu) { prepare ? prepare(team, cpu) : void(); };
    Team& opened = teams.emplace_back(std::make_unique<ThreadTeam>(options.helpers.cpus[team], std::move(prepare)));
    opened.handle = OpenSession(library, options, *opened.threads);
  }
  return teams;
}

std::vector<TensorDeclaration> Session::ReadDeclarations(bool outputs) const {
  const ort::Functions& api = library_->api();
  std::size_t count = 0;
  library_->Check((outputs ? api.SessionGetOutputCount : api.SessionGetInputCount)(handle(), &count));
  std::vector<TensorDeclaration> declarations;
  std::string refusal;
  for (std::size_t i = 0; i < count; ++i) {
    TensorDeclaration declaration;
    const std::string wrong = ReadDeclaration(i, outputs, declaration);
    if (wrong.empty()) declarations.push_back(std::move(declaration));
    if (refusal.empty()) refusal = wrong;
  }
  // An output that is no tensor is left out where there are others; an input has to be given.
  if (!refusal.empty() && (!outputs || declarations.empty())) throw SignatureError(refusal);
  return declarations;
}

std::string Session::ReadDeclaration(std::size_t index, bool isOutput, TensorDeclaration& declaration) const {
  const ort::Functions& api = library_->api();
  char* name = nullptr;
  library_->Check(
      (isOutput ? api.SessionGetOutputName : api.SessionGetInputName)(handle(), index, library_->allocator(), &name));
  declaration.name = name;
  library_->Check(api.AllocatorFree(library_->allocator(), name));

  ort::TypeInfo* raw = nullptr;
  library_->Check((isOutput ? api.SessionGetOutputTypeInfo : api.SessionGetInputTypeInfo)(handle(), index, &raw));
  const ort::Owned<ort::TypeInfo> type(raw, api.ReleaseTypeInfo);
  int kind = 0;
  library_->Check(api.GetOnnxTypeFromTypeInfo(type.get(), &kind));
  const ort::TensorInfo* tensor = nullptr;
  if (kind == kOnnxTensor) library_->Check(api.CastTypeInfoToTensorInfo(type.get(), &tensor));
  if (tensor == nullptr) return NotATensor(declaration.name, kind, isOutput);
  const ort::OrtLibrary::TensorType read = library_->ReadType(tensor);
  std::vector<const char*> symbols(read.rank, "");
  declaration.elementType = read.elementType;
  declaration.dims.resize(read.rank);
  library_->Check(api.GetDimensions(tensor, declaration.dims.data(), read.rank));
  library_->Check(api.GetSymbolicDimensions(tensor, symbols.data(), read.rank));
  declaration.symbols.assign(symbols.begin(), symbols.end());
  return "";
}

void Session::SetPadValues(const std::map<std::string, double>& padValues) {
  padValues_.resize(signature_.inputs.size());
  for (const auto& [name, value] : padValues) {
    const auto input = std::find_if(signature_.inputs.begin(), signature_.inputs.end(),
                                    [&name = name](const TensorSpec& spec) { return spec.name == name; });
    if (input == signature_.inputs.end()) throw SignatureError("padValues: the model has no input \"" + name + '"');
    try {
      padValues_[static_cast<std::size_t>(input - signature_.inputs.begin())] = EncodePadValue(input->type, value);
    } catch (const std::invalid_argument& error) {
      throw SignatureError("padValues: input \"" + name + "\": " + error.what());
    }
  }
}

Shape Session::RunShape(std::size_t input, std::span<Item* const> items, const RunLayout& layout) const {
  const TensorSpec& spec = signature_.inputs[input];
  Shape shape = items[0]->inputs[input].shape;
  if (items.size() == 1) return shape;
  for (std::size_t d = 0; d < shape.rank; ++d) {
    const int k = SequenceIndex(spec.axes[d]);
    if (spec.axes[d] == Axis::kBatch) {
      shape.dims[d] = layout.rows;
    } else if (k >= 0) {
      shape.dims[d] = layout.lengths[static_cast<std::size_t>(k)];
    } else {
      for (const Item* item : items) {
        if (item->inputs[input].shape.dims[d] != shape.dims[d]) {
          throw NotTogether("rows with different shapes of input \"" + spec.name + '"');
        }
      }
    }
  }
  return shape;
}

ort::Owned<ort::Value> Session::Pack(std::size_t input, const Shape& shape, std::span<Item* const> items,
                                     const RunLayout& layout, std::span<const std::vector<StringElements>> strings,
                                     std::byte* buffer) const {
  const TensorSpec& spec = signature_.inputs[input];
  if (spec.type == ElementType::kString) return PackStrings(input, shape, items, layout, strings);
  const std::size_t elementBytes = ElementBytes(spec.type);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const TensorView& view = items[i]->inputs[input];
    CopyIntoRun(buffer, shape, layout.parts[i].rowStart, view.data, view.shape, elementBytes, padValues_[input]);
  }
  const std::size_t bytes = TensorBytes(shape, spec.type);
  if (spec.type == ElementType::kBool) NormalizeBools(buffer, bytes);
  return library_->TensorOver(buffer, bytes, shape, spec.type);
}

ort::Owned<ort::Value> Session::PackStrings(std::size_t input, const Shape& shape, std::span<Item* const> items,
                                            const RunLayout& layout,
                                            std::span<const std::vector<StringElements>> strings) const {
  auto tensor = library_->StringTensor(shape);
  for (std::size_t i = 0; i < items.size(); ++i) {
    BoxWalk walk(shape, items[i]->inputs[input].shape, layout.parts[i].rowStart);
    for (const std::string_view element : strings[i][input].views) {
      char* to = nullptr;
      library_->Check(library_->api().GetResizedStringTensorElementBuffer(
          tensor.get(), static_cast<std::size_t>(walk.Next()), element.size(), &to));
      if (!element.empty()) std::memcpy(to, element.data(), element.size());
    }
  }
  return tensor;
}

std::vector<std::size_t> Session::WantedOutputs(std::span<Item* const> items) const {
  std::uint64_t mask = 0;
  for (const Item* item : items) mask |= item->outputMask;
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < signature_.outputs.size(); ++i) {
    // All of them as long as there is something to learn from their shapes.
    if (((mask >> i) & 1U) != 0 || (signature_.coalesce == CoalesceMode::kPadded && !outputAxes_.IsSettled())) {
      wanted.push_back(i);
    }
  }
  return wanted;
}

std::vector<RunOutput> Session::Compute(std::span<Item* const> items, const RunLayout& layout,
                                        std::span<const std::vector<StringElements>> strings, Scratch& scratch,
                                        const ort::RunOptions* options, std::size_t team) {
  const std::size_t inputsCount = signature_.inputs.size();
  std::array<Shape, kTensorsMax> shapes;
  std::array<std::size_t, kTensorsMax> offsets;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < inputsCount; ++i) {
    shapes[i] = RunShape(i, items, layout);
    if (ElementCount(shapes[i]) < 0) throw NotTogether("a tensor of the run too large to address");
    offsets[i] = bytes;
    bytes += Scratch::Aligned(TensorBytes(shapes[i], signature_.inputs[i].type));
  }
  std::byte* const buffer = scratch.Reserve(bytes);
  std::vector<ort::Owned<ort::Value>> inputs;
  std::array<const ort::Value*, kTensorsMax> inputValues{};
  for (std::size_t i = 0; i < inputsCount; ++i) {
    inputs.push_back(Pack(i, shapes[i], items, layout, strings, buffer + offsets[i]));
    inputValues[i] = inputs.back().get();
  }

  const std::vector<std::size_t> wanted = WantedOutputs(items);
  std::array<const char*, kTensorsMax> names{};
  std::array<ort::Value*, kTensorsMax> values{};
  for (std::size_t i = 0; i < wanted.size(); ++i) names[i] = outputNames_[wanted[i]];
  const auto turn = cuda_ != nullptr ? cuda_->TakeTurn() : std::unique_lock<std::mutex>();
  library_->Check(library_->api().Run(teams_[team].handle.get(), options, inputNames_.data(), inputValues.data(),
                                      inputsCount, names.data(), wanted.size(), values.data()));
  std::vector<RunOutput> outputs;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    RunOutput& output = outputs.emplace_back();
    output.index = wanted[i];
    output.value = {values[i], library_->api().ReleaseValue};
  }
  return outputs;
}

void Session::RunForCost(Item& item, const RunLayout& layout, const std::vector<StringElements>& strings,
                         Scratch& scratch, const ort::RunOptions* options, std::size_t team) {
  Item* const items[] = {&item};
  Compute(items, layout, {&strings, 1}, scratch, options, team);
}

std::vector<RunOutput> Session::Run(std::span<Item* const> items, const RunLayout& layout,
                                    std::span<const std::vector<StringElements>> strings, Scratch& scratch,
                                    const ort::RunOptions* options, std::size_t team) {
  std::vector<RunOutput> outputs = Compute(items, layout, strings, scratch, options, team);
  std::string obstacle;
  for (RunOutput& output : outputs) {
    output.shape = library_->ReadShape(output.value.get(), &output.type);
    if (output.type != signature_.outputs[output.index].type) {
      throw ort::OrtError("output \"" + signature_.outputs[output.index].name +
                          "\" came with another type than declared");
    }
    if (!outputAxes_.Observe(output.index, output.shape, layout, output.axes))
      obstacle = NotTogetherReason(output, layout);
  }
  if (!obstacle.empty()) throw NotTogether(obstacle);
  return outputs;
}

std::string Session::NotTogetherReason(const RunOutput& output, const RunLayout& layout) const {
  return "outputs cannot be told apart by row: output \"" + signature_.outputs[output.index].name +
         "\" came with shape " + ShapeText(output.shape) + " for " + std::to_string(layout.rows) + " rows";
}

void Session::LimitMerging(CoalesceMode mode, std::string reason) {
  signature_.coalesce = mode;
  signature_.coalesceReason = std::move(reason);
}

std::size_t Session::Respond(const std::vector<RunOutput>& outputs, const RunLayout& layout, std::size_t part,
                             const Item& item) const {
  std::size_t needed = 0;
  bool fits = true;
  for (const RunOutput& output : outputs) {
    if (((item.outputMask >> output.index) & 1U) == 0) continue;
    const RunLayout::Part& rows = layout.parts[part];
    const OutputPart to{.output = output,
                        .shape = PartShape(output.shape, output.axes, layout, rows),
                        .rowStart = rows.rowStart,
                        .responder = *item.responder};
    const auto write = output.type == ElementType::kString ? WriteStrings : WriteNumbers;
    needed += Scratch::Aligned(write(*library_, to, fits));
  }
  return fits ? 0 : needed;
}

}  // namespace interleave
