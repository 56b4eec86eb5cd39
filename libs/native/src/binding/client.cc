#include "binding/client.h"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
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

// Reads the numbers of a submission (lib/channel-items.ts) one after the other.
class NumberReader {
 public:
  NumberReader(Napi::Env env, const double* numbers, std::size_t count) : env_(env), numbers_(numbers), count_(count) {}

  bool atEnd() const { return next_ == count_; }

  double Next(const char* name) {
    if (next_ == count_) ThrowExpected(env_, "another number", name);
    return numbers_[next_++];
  }

  // A whole number in 0..max.
  std::uint64_t Integer(const char* name, double max) {
    const double number = Next(name);
    if (!(number >= 0 && number <= max) || number != std::trunc(number)) {
      ThrowExpected(env_, "a whole number in range", name);
    }
    return static_cast<std::uint64_t>(number);
  }

 private:
  Napi::Env env_;
  const double* numbers_;
  std::size_t count_;
  std::size_t next_ = 0;
};

// What inputs are cut from.
using Memories = std::vector<std::span<const std::byte>>;

Memories MemoriesOf(const Napi::Array& arrays) {
  Memories memories;
  for (std::uint32_t i = 0; i < arrays.Length(); ++i) {
    const Napi::Value value = arrays.Get(i);
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      ThrowExpected(arrays.Env(), "a Uint8Array", "memories");
    }
    const auto bytes = value.As<Napi::Uint8Array>();
    memories.emplace_back(reinterpret_cast<const std::byte*>(bytes.Data()), bytes.ByteLength());
  }
  return memories;
}

TensorView TensorOf(NumberReader& numbers, const Memories& memories) {
  TensorView tensor;
  tensor.index = static_cast<std::uint16_t>(numbers.Integer("index", kTensorsMax - 1));
  tensor.type = static_cast<ElementType>(numbers.Integer("type", 255));
  tensor.shape.rank = static_cast<std::uint8_t>(numbers.Integer("rank", kRankMax));
  for (std::size_t i = 0; i < tensor.shape.rank; ++i) {
    tensor.shape.dims[i] = static_cast<std::int64_t>(numbers.Integer("shape", kIntegerMax));
  }
  const auto memory = numbers.Integer("memory", static_cast<double>(memories.size()) - 1);
  const std::span<const std::byte> bytes = memories[memory];
  const auto offset = numbers.Integer("offset", static_cast<double>(bytes.size()));
  tensor.data = bytes.data() + offset;
  tensor.bytes = numbers.Integer("bytes", static_cast<double>(bytes.size() - offset));
  return tensor;
}

constexpr double kWordMax = UINT32_MAX;
constexpr std::uint64_t kAloneBit = 1;
constexpr std::uint64_t kAheadBit = 2;

// Negative: no deadline.
std::int64_t DeadlineOf(Napi::Env env, double timeoutMs) {
  if (timeoutMs < 0) return 0;
  if (!(timeoutMs <= 1e12)) ThrowExpected(env, "milliseconds or null", "timeoutMs");
  return MonotonicNowNs() + static_cast<std::int64_t>(timeoutMs * 1e6);
}

Request RequestOf(Napi::Env env, NumberReader& numbers, const Memories& memories) {
  Request request;
  request.revision = static_cast<std::uint32_t>(numbers.Integer("revision", kWordMax));
  request.priority = static_cast<std::uint8_t>(numbers.Integer("priority", 255));
  const std::uint64_t flags = numbers.Integer("flags", kAloneBit | kAheadBit);
  request.alone = (flags & kAloneBit) != 0;
  request.ahead = (flags & kAheadBit) != 0;
  request.deadlineNs = DeadlineOf(env, numbers.Next("timeoutMs"));
  const std::uint64_t low = numbers.Integer("outputs", kWordMax);
  request.outputMask = low | numbers.Integer("outputs", kWordMax) << 32;
  request.responseBytes = numbers.Integer("responseBytes", kIntegerMax);
  const auto inputs = static_cast<std::uint32_t>(numbers.Integer("inputs", kWordMax));
  for (std::uint32_t i = 0; i < inputs; ++i) request.inputs.push_back(TensorOf(numbers, memories));
  return request;
}

double Microseconds(std::int64_t fromNs, std::int64_t toNs) { return static_cast<double>(toNs - fromNs) / 1e3; }

// Outputs lie next to each other, at addresses that suit any element.
constexpr std::size_t kOutputAlignment = 8;

// Completions on their way to JavaScript, as lib/channel-items.ts unpacks them: one array of numbers, one of bytes.
class CompletionPacker {
 public:
  // Takes what `next` (NextCompletion or NextOrphan) gives; its memory is the client's until Pack. May throw
  // ChannelError; what it had taken by then stays.
  template <typename Next>
  void Take(Next next) {
    while (auto completion = next()) completions_.push_back(std::move(*completion));
  }

  std::size_t count() const { return completions_.size(); }

  // Sets `numbers`, `messages` and `data` of `target`, and gives the memory back. Call once.
  void Pack(Napi::Env env, ChannelClient& client, Napi::Object& target) {
    std::size_t bytes = 0;
    std::vector<double> numbers;
    Napi::Array messages = Napi::Array::New(env);
    for (const auto& completion : completions_) {
      const Response& response = completion.response;
      numbers.insert(
          numbers.end(),
          {static_cast<double>(completion.itemId), static_cast<double>(response.status),
           Microseconds(response.times.enqueuedNs, response.times.startedNs),
           Microseconds(response.times.startedNs, response.times.endedNs), static_cast<double>(response.times.runRows),
           static_cast<double>(response.times.startedNs), static_cast<double>(response.outputs.size())});
      if (response.status != ItemStatus::kOk) {
        const Napi::HandleScope scope(env);
        messages.Set(messages.Length(), Napi::String::New(env, response.message));
      }
      for (const TensorView& output : response.outputs) {
        numbers.insert(numbers.end(), {static_cast<double>(output.index), static_cast<double>(output.type),
                                       static_cast<double>(output.shape.rank)});
        for (std::size_t i = 0; i < output.shape.rank; ++i) {
          numbers.push_back(static_cast<double>(output.shape.dims[i]));
        }
        numbers.insert(numbers.end(), {static_cast<double>(bytes), static_cast<double>(output.bytes)});
        bytes = AlignUp(bytes + output.bytes, kOutputAlignment);
      }
    }
    auto data = Napi::Uint8Array::New(env, bytes);
    std::size_t offset = 0;
    for (const auto& completion : completions_) {
      for (const TensorView& output : completion.response.outputs) {
        if (output.bytes > 0) std::memcpy(data.Data() + offset, output.data, output.bytes);
        offset = AlignUp(offset + output.bytes, kOutputAlignment);
      }
      client.FreeCompletion(completion.itemId);
    }
    completions_.clear();
    auto packed = Napi::Float64Array::New(env, numbers.size());
    std::copy(numbers.begin(), numbers.end(), packed.Data());
    target.Set("numbers", packed);
    target.Set("messages", messages);
    target.Set("data", data);
  }

 private:
  std::vector<ChannelClient::Completion> completions_;
};

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
    if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      ThrowExpected(info.Env(), "a Float64Array", "numbers");
    }
    const auto packed = info[1].As<Napi::Float64Array>();
    const Memories memories = MemoriesOf(ArrayOf(info[2], "memories"));
    NumberReader numbers(info.Env(), packed.Data(), packed.ElementLength());
    std::vector<Request> requests;
    while (!numbers.atEnd()) requests.push_back(RequestOf(info.Env(), numbers, memories));
    std::vector<std::uint64_t> itemIds;
    if (!client.Submit(requests, itemIds)) return info.Env().Null();
    return Napi::Number::New(info.Env(), itemIds.empty() ? 0 : static_cast<double>(itemIds.front()));
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
    CompletionPacker completions;
    Napi::Value broken = env.Null();
    try {
      client.Receive({reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()}, texts);
      completions.Take([&] { return client.NextCompletion(); });
    } catch (const ChannelError& error) {
      broken = Napi::String::New(env, error.what());  // not thrown: what was taken until now must reach its callers
    }
    Napi::Object received = Napi::Object::New(env);
    Napi::Array jsTexts = Napi::Array::New(env, texts.size());
    for (std::uint32_t i = 0; i < texts.size(); ++i) jsTexts.Set(i, Napi::String::New(env, texts[i]));
    received.Set("texts", jsTexts);
    completions.Pack(env, client, received);
    received.Set("broken", broken);
    return received;
  });
}

Napi::Value ChannelClose(const Napi::CallbackInfo& info) {
  return Guard(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const std::unique_ptr<ChannelClient> client = std::move(HandleOf(info).client);
    if (!client) throw ChannelError(ChannelErrorCode::kClosed, "the channel is closed");
    CompletionPacker completions;
    try {
      completions.Take([&] { return client->NextCompletion(); });
      completions.Take([&] { return client->NextOrphan(); });
    } catch (const ChannelError&) {
      // The region is corrupt. What was not read of it stays unanswered and is listed below.
    }
    Napi::Array guilty = Napi::Array::New(env);
    Napi::Array running = Napi::Array::New(env);
    Napi::Array waiting = Napi::Array::New(env);
    for (const ItemInFlight& item : client->ItemsInFlight()) {
      Napi::Array& target = item.state == ResponseState::kGuilty    ? guilty
                            : item.state == ResponseState::kRunning ? running
                                                                    : waiting;
      target.Set(target.Length(), Napi::Number::New(env, static_cast<double>(item.itemId)));
    }
    Napi::Object closed = Napi::Object::New(env);
    completions.Pack(env, *client, closed);
    closed.Set("guiltyItemIds", guilty);
    closed.Set("runningItemIds", running);
    closed.Set("waitingItemIds", waiting);
    return closed;
  });
}

}  // namespace interleave::binding
