package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob/s3blob"

	"proofload/internal/result/blob"
)

// gatewayRegion is what requests to an endpoint are signed for when no region is given: most gateways
// that are no region of AWS take this one.
const gatewayRegion = "us-east-1"

// openS3 connects to s3://BUCKET. Credentials come from where the AWS SDK looks for them.
func openS3(ctx context.Context, l blob.Location) (*Bucket, error) {
	endpoint := l.Params.Get("endpoint")
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // it would write to standard error, and what matters is returned
		// Without the SDK's allowance of retries, which an outage would use up for the time after it.
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.RateLimiter, o.MaxBackoff = ratelimit.None, longestNap })
		}),
	}
	if region := l.Params.Get("region"); region != "" {
		options = append(options, config.WithRegion(region))
	}
	if profile := l.Params.Get("profile"); profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", blob.ErrLocation, &cause{err: err})
	}
	if cfg.Region == "" && endpoint != "" {
		cfg.Region = gatewayRegion
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("%w: the region of the bucket is not known: give ?region=REGION or set AWS_REGION", blob.ErrLocation)
	}
	sse, err := encryption(l.Params.Get("ssetype"))
	if err != nil {
		return nil, err
	}
	if err := s3Credentials(ctx, cfg); err != nil {
		return nil, err
	}
	release := ownTransport(&cfg)
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = l.Params.Get("s3ForcePathStyle") == "true"
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	bucket, err := s3blob.OpenBucket(ctx, client, l.Bucket, &s3blob.Options{
		EncryptionType: sse, KMSEncryptionID: l.Params.Get("kmskeyid"), RequestChecksumCalculation: cfg.RequestChecksumCalculation,
	})
	if err != nil {
		return nil, err
	}
	return (&Bucket{bucket: bucket, explain: explainS3, release: release}).within(l), nil
}

// ownTransport gives the client of cfg connections that end with it, and the roots that the environment names.
func ownTransport(cfg *aws.Config) (release func()) {
	rt := transport()
	if made, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		rt.TLSClientConfig = made.GetTransport().TLSClientConfig
	}
	// A redirect is another region or a trap; the signature is not for it.
	cfg.HTTPClient = &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return rt.CloseIdleConnections
}

func encryption(name string) (types.ServerSideEncryption, error) {
	if name == "" {
		return "", nil
	}
	for _, known := range types.ServerSideEncryption("").Values() {
		if name == string(known) {
			return known, nil
		}
	}
	return "", fmt.Errorf("%w: ssetype must be one of %v", blob.ErrLocation, types.ServerSideEncryption("").Values())
}

// s3Credentials looks for credentials now: without any, the SDK says so on each request, at length.
func s3Credentials(ctx context.Context, cfg aws.Config) error {
	if cfg.Credentials == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(bounded); err != nil {
		text := "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
		return fmt.Errorf("%w (%w)", blob.ErrDenied, &cause{text, err})
	}
	return nil
}

// s3Kinds are the codes of S3, and of gateways that speak its protocol, that mean something here.
var s3Kinds = map[string]kind{
	"NoSuchKey": notFound, "NotFound": notFound,
	"NoSuchBucket":               noBucket,
	"PreconditionFailed":         exists,
	"ConditionalRequestConflict": conflict, "OperationAborted": conflict,
	"InvalidAccessKeyId": unknownUser, "SignatureDoesNotMatch": unknownUser, "ExpiredToken": unknownUser,
	"InvalidToken": unknownUser, "TokenRefreshRequired": unknownUser, "RequestTimeTooSkewed": unknownUser,
	"AccessDenied": forbidden, "Forbidden": forbidden, "AllAccessDisabled": forbidden, "AccountProblem": forbidden,
	"QuotaExceeded": full, "InsufficientStorage": full, "XMinioStorageFull": full,
	"NotImplemented": unsuited,
	"RequestTimeout": unreachable, "ServiceUnavailable": unreachable, "SlowDown": unreachable, "InternalError": unreachable,
}

// explainS3 knows the errors of S3.
func explainS3(err error) fault {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		f := fault{kind: s3Kinds[api.ErrorCode()], text: api.ErrorCode()}
		if m := api.ErrorMessage(); m != "" && m != f.text {
			f.text += ": " + m
		}
		if f.kind == other {
			f.kind = s3Status(err)
		}
		return f
	}
	if k := s3Status(err); k != other {
		return fault{kind: k}
	}
	return fault{}
}

// s3Status goes by the status of the answer, where there was no more than that.
func s3Status(err error) kind {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		return other
	}
	switch status := answer.HTTPStatusCode(); {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return forbidden
	case status == http.StatusConflict:
		return conflict
	case status == http.StatusInsufficientStorage:
		return full
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented:
		return unreachable
	}
	return other
}
