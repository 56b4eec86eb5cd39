#include "binding/client.h"

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/convert.h"
#include "channel/client.h"
#include "clock.h"

namespace interleave::binding {
namespace {

constexpr napi_type_tag kHandleTag = {0x1d7c2f9ab3e84c55, 0x9f0e6a41d2735b88};

// What a JS handle owns; null after ChannelClose.
struct Handle {
  std::unique_ptr<ChannelClient> client;
};

const char* CodeName(ChannelErrorCode code) {
  switch (code) {
    case ChannelErrorCode::kInvalid:
      return "INVALID";
    case ChannelErrorCode::kUnreachable:
      return "UNREACHABLE";
    case ChannelErrorCode::kTimeout:
      return "TIMEOUT";
    case ChannelErrorCode::kRefused:
      return "REFUSED";
    case ChannelErrorCode::kProtocol:
      return "PROTOCOL";
    case ChannelErrorCode::kTooLarge:
      return "TOO_LARGE";
    case ChannelErrorCode::kClosed:
      return "CLOSED";
  }
  return "INTERNAL";
}

Napi::Error ToJsError(Napi::Env env, const ChannelError& error) {
  return MakeError(env, "ChannelError", CodeName(error.code()), error.what(), error.item());
}

// Runs `body` and turns C++ exceptions into JS ones.
template <typename Body>
Napi::Value Guard(const Napi::CallbackInfo& info, Body body) {
  try {
    return body();
  } catch (const ChannelError& error) {
    throw ToJsError(info.Env(), error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw MakeError(info.Env(), "ChannelError", "INTERNAL", error.what(), -1);
  }
}

Napi::Object WrapHandle(Napi::Env env, std::unique_ptr<ChannelClient> client) {
  Napi::Object object = Napi::Object::New(env);
  auto handle = std::make_unique<Handle>(Handle{std::move(client)});
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); };
  if (napi_wrap(env, object, handle.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  handle.release();
  if (napi_type_tag_object(env, object, &kHandleTag) != napi_ok) throw Napi::Error::New(env);
  return object;
}

Handle& HandleOf(const Napi::CallbackInfo& info) {
  const Napi::Object object = ObjectOf(info[0], "channel");
  bool tagged = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(info.Env(), object, &kHandleTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(info.Env(), object, &data) != napi_ok) {
    ThrowExpected(info.Env(), "a channel", "channel");
  }
  return *static_cast<Handle*>(data);
}

ChannelClient& ClientOf(const Napi::CallbackInfo& info) {
  Handle& handle = HandleOf(info);
  if (!handle.client) throw ChannelError(ChannelErrorCode::kClosed, "the channel is closed");
  return *handle.client;
}

class ConnectWork final : public Napi::AsyncWorker {
 public:
  ConnectWork(Napi::Env env, ChannelClientOptions options)
      : AsyncWorker(env), options_(std::move(options)), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      client_ = ChannelClient::Connect(options_);
      // libuv closes the descriptor it reads from, so it gets one of its own.
      readFd_ = Fd(fcntl(client_->socket(), F_DUPFD_CLOEXEC, 0));
      if (!readFd_.valid()) throw ChannelError(ChannelErrorCode::kUnreachable, "no file descriptor left");
    } catch (const ChannelError& error) {
      error_ = std::make_unique<ChannelError>(error);
    } catch (const std::exception& error) {
      error_ = std::make_unique<ChannelError>(ChannelErrorCode::kUnreachable, error.what());
    }
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (error_) {
      deferred_.Reject(ToJsError(env, *error_).Value());
      return;
    }
    Napi::Object connected = Napi::Object::New(env);
    connected.Set("text", Napi::String::New(env, client_->welcomeText()));
    connected.Set("channel", WrapHandle(env, std::move(client_)));
    connected.Set("fd", Napi::Number::New(env, readFd_.Release()));
    deferred_.Resolve(connected);
  }

 private:
  const ChannelClientOptions options_;
  const Napi::Promise::Deferred deferred_;
  std::unique_ptr<ChannelClient> client_;
  Fd readFd_;
  std::unique_ptr<ChannelError> error_;
};

TensorView TensorOf(const Napi::Object& object) {
  TensorView tensor;
  tensor.index = static_cast<std::uint16_t>(IntegerOf(object, "index", kTensorsMax - 1));
  tensor.type = static_cast<ElementType>(IntegerOf(object, "type", 255));
  const Napi::Array shape = ArrayOf(object.Get("shape"), "shape");
  if (shape.Length() > kRankMax) ThrowExpected(object.Env(), "at most 8 dimensions", "shape");
  tensor.shape.rank = static_cast<std::uint8_t>(shape.Length());
  for (std::uint32_t i = 0; i < shape.Length(); ++i) {
    tensor.shape.dims[i] = static_cast<std::int64_t>(IntegerOf(shape.Get(i), "shape", kIntegerMax));
  }
  const Napi::Value data = object.Get("data");
  if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    ThrowExpected(object.Env(), "a Uint8Array", "data");
  }
  const auto bytes = data.As<Napi::Uint8Array>();
  tensor.data = reinterpret_cast<const std::byte*>(bytes.Data());
  tensor.bytes = bytes.ByteLength();
  return tensor;
}

// Bit mask of a list of output indexes; null: 0, all.
std::uint64_t OutputMaskOf(const Napi::Value& value) {
  if (value.IsNull()) return 0;
  const Napi::Array indexes = ArrayOf(value, "outputs");
  std::uint64_t mask = 0;
  for (std::uint32_t i = 0; i < indexes.Length(); ++i) {
    mask |= std::uint64_t{1} << IntegerOf(indexes.Get(i), "outputs", kTensorsMax - 1);
  }
  return mask;
}

std::int64_t DeadlineOf(const Napi::Value& timeoutMs) {
  if (timeoutMs.IsNull()) return 0;
  const double ms = timeoutMs.IsNumber() ? timeoutMs.As<Napi::Number>().DoubleValue() : -1;
  if (!(ms >= 0 && ms <= 1e12)) ThrowExpected(timeoutMs.Env(), "milliseconds or null", "timeoutMs");
  return MonotonicNowNs() + static_cast<std::int64_t>(ms * 1e6);
}

Request RequestOf(const Napi::Object& object) {
  Request request;
  request.revision = static_cast<std::uint32_t>(IntegerOf(object, "revision", UINT32_MAX));
  request.priority = static_cast<std::uint8_t>(IntegerOf(object, "priority", 255));
  request.alone = BooleanOf(object, "alone");
  request.ahead = BooleanOf(object, "ahead");
  request.deadlineNs = DeadlineOf(object.Get("timeoutMs"));
  request.outputMask = OutputMaskOf(object.Get("outputs"));
  request.responseBytes = IntegerOf(object, "responseBytes");
  const Napi::Array inputs = ArrayOf(object.Get("inputs"), "inputs");
  request.inputs.reserve(inputs.Length());
  for (std::uint32_t i = 0; i < inputs.Length(); ++i)
    request.inputs.push_back(TensorOf(ObjectOf(inputs.Get(i), "inputs")));
  return request;
}

// Copies an output out of the arena.
Napi::Object ToJs(Napi::Env env, const TensorView& output) {
  Napi::Array shape = Napi::Array::New(env, output.shape.rank);
  for (std::uint32_t i = 0; i < output.shape.rank; ++i) {
    shape.Set(i, Napi::Number::New(env, static_cast<double>(output.shape.dims[i])));
  }
  auto data = Napi::Uint8Array::New(env, output.bytes);
  if (output.bytes > 0) std::memcpy(data.Data(), output.data, output.bytes);
  Napi::Object tensor = Napi::Object::New(env);
  tensor.Set("index", Napi::Number::New(env, output.index));
  tensor.Set("type", Napi::Number::New(env, static_cast<int>(output.type)));
  tensor.Set("shape", shape);
  tensor.Set("data", data);
  return tensor;
}

double Microseconds(std::int64_t fromNs, std::int64_t toNs) { return static_cast<double>(toNs - fromNs) / 1e3; }

Napi::Object ToJs(Napi::Env env, const ChannelClient::Completion& completion) {
  const Response& response = completion.response;
  Napi::Array outputs = Napi::Array::New(env, response.outputs.size());
  for (std::uint32_t i = 0; i < response.outputs.size(); ++i) outputs.Set(i, ToJs(env, response.outputs[i]));
  Napi::Object object = Napi::Object::New(env);
  object.Set("itemId", Napi::Number::New(env, static_cast<double>(completion.itemId)));
  object.Set("status", Napi::Number::New(env, static_cast<int>(response.status)));
  object.Set("message", Napi::String::New(env, response.message));
  object.Set("outputs", outputs);
  object.Set("queueUs", Napi::Number::New(env, Microseconds(response.times.enqueuedNs, response.times.startedNs)));
  object.Set("runUs", Napi::Number::New(env, Microseconds(response.times.startedNs, response.times.endedNs)));
  object.Set("runRows", Napi::Number::New(env, response.times.runRows));
  return object;
}

// `next` is NextCompletion or NextOrphan.
template <typename Next>
void TakeCompletions(Napi::Env env, ChannelClient& client, Napi::Array& target, Next next) {
  std::uint32_t count = target.Length();
  while (const auto completion = next()) {
    // One scope each, so that a long drain does not pile up handles.
    const Napi::HandleScope scope(env);
    target.Set(count++, ToJs(env, *completion));
    client.FreeCompletion(completion->itemId);
  }
}

}  // namespace

Napi::Value ChannelConnect(const Napi::CallbackInfo& info) {
  const Napi::Object object = ObjectOf(info[0], "options");
  ChannelClientOptions options;
  options.socketPath = StringOf(object, "socketPath");
  options.arenaBytes = IntegerOf(object, "arenaBytes", static_cast<double>(kArenaBytesMax));
  options.itemsMax = static_cast<std::uint32_t>(IntegerOf(object, "itemsMax", kRingCapacityMax));
  options.timeout = std::chrono::milliseconds(IntegerOf(object, "timeoutMs", 3'600'000));
  auto* work = new ConnectWork(info.Env(), std::move(options));  // deletes itself
  work->Queue();
  return work->promise();
}

Napi::Value ChannelSubmit(const Napi::CallbackInfo& info) {
  return Guard(info, [&]() -> Napi::Value {
    ChannelClient& client = ClientOf(info);
    const Napi::Array items = ArrayOf(info[1], "items");
    std::vector<Request> requests;
    requests.reserve(items.Length());
    for (std::uint32_t i = 0; i < items.Length(); ++i) {
      const Napi::HandleScope scope(info.Env());
      requests.push_back(RequestOf(ObjectOf(items.Get(i), "items")));
    }
    std::vector<std::uint64_t> itemIds;
    if (!client.Submit(requests, itemIds)) return info.Env().Null();
    Napi::Array result = Napi::Array::New(info.Env(), itemIds.size());
    for (std::uint32_t i = 0; i < itemIds.size(); ++i) {
      result.Set(i, Napi::Number::New(info.Env(), static_cast<double>(itemIds[i])));
    }
    return result;
  });
}

Napi::Value ChannelCancel(const Napi::CallbackInfo& info) {
  return Guard(info, [&] {
    ClientOf(info).Cancel(IntegerOf(info[1], "itemId", kIntegerMax));
    return info.Env().Undefined();
  });
}

Napi::Value ChannelReceive(const Napi::CallbackInfo& info) {
  return Guard(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    ChannelClient& client = ClientOf(info);
    if (!info[1].IsTypedArray()) ThrowExpected(env, "a Uint8Array", "bytes");
    const auto bytes = info[1].As<Napi::Uint8Array>();
    std::vector<std::string> texts;
    Napi::Array completions = Napi::Array::New(env);
    Napi::Value broken = env.Null();
    try {
      client.Receive({reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()}, texts);
      TakeCompletions(env, client, completions, [&] { return client.NextCompletion(); });
    } catch (const ChannelError& error) {
      broken = Napi::String::New(env, error.what());  // not thrown: what was taken until now must reach its callers
    }
    Napi::Object received = Napi::Object::New(env);
    Napi::Array jsTexts = Napi::Array::New(env, texts.size());
    for (std::uint32_t i = 0; i < texts.size(); ++i) jsTexts.Set(i, Napi::String::New(env, texts[i]));
    received.Set("texts", jsTexts);
    received.Set("completions", completions);
    received.Set("broken", broken);
    return received;
  });
}

Napi::Value ChannelClose(const Napi::CallbackInfo& info) {
  return Guard(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const std::unique_ptr<ChannelClient> client = std::move(HandleOf(info).client);
    if (!client) throw ChannelError(ChannelErrorCode::kClosed, "the channel is closed");
    Napi::Array completions = Napi::Array::New(env);
    try {
      TakeCompletions(env, *client, completions, [&] { return client->NextCompletion(); });
      TakeCompletions(env, *client, completions, [&] { return client->NextOrphan(); });
    } catch (const ChannelError&) {
      // The region is corrupt. What was not read of it stays unanswered and is listed below.
    }
    Napi::Array running = Napi::Array::New(env);
    Napi::Array waiting = Napi::Array::New(env);
    for (const ItemInFlight& item : client->ItemsInFlight()) {
      Napi::Array& target = item.running ? running : waiting;
      target.Set(target.Length(), Napi::Number::New(env, static_cast<double>(item.itemId)));
    }
    Napi::Object closed = Napi::Object::New(env);
    closed.Set("completions", completions);
    closed.Set("runningItemIds", running);
    closed.Set("waitingItemIds", waiting);
    return closed;
  });
}

}  // namespace interleave::binding
