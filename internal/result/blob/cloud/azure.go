package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"gocloud.dev/blob/azureblob"

	"proofload/internal/result/blob"
)

// openAzure connects to azblob://CONTAINER. The account and the credentials come from the environment:
// AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING,
// or what the SDK of Azure finds by itself.
func openAzure(ctx context.Context, l blob.Location) (*Bucket, error) {
	opener := &azureblob.URLOpener{MakeClient: azureblob.NewDefaultClient, ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions()}
	if opener.ServiceURLOptions.AccountName == "" && l.Params.Get("storage_account") == "" {
		return nil, fmt.Errorf("%w: the storage account is not known: set AZURE_STORAGE_ACCOUNT or give ?storage_account=NAME", blob.ErrLocation)
	}
	bucket, err := opener.OpenBucketURL(ctx, l.URL())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", blob.ErrLocation, &cause{err: err})
	}
	return (&Bucket{bucket: bucket, explain: explainAzure}).within(l), nil
}

// azureKinds are the codes of Azure that mean something here.
var azureKinds = map[bloberror.Code]kind{
	bloberror.BlobNotFound:      notFound,
	bloberror.ContainerNotFound: noBucket, bloberror.ContainerBeingDeleted: noBucket, bloberror.ContainerDisabled: noBucket,
	bloberror.BlobAlreadyExists: exists, bloberror.ConditionNotMet: exists, bloberror.TargetConditionNotMet: exists,
	bloberror.AuthenticationFailed: unknownUser, bloberror.InvalidAuthenticationInfo: unknownUser, bloberror.NoAuthenticationInformation: unknownUser,
	bloberror.AuthorizationFailure: forbidden, bloberror.AuthorizationPermissionMismatch: forbidden, bloberror.AuthorizationServiceMismatch: forbidden,
	bloberror.AuthorizationResourceTypeMismatch: forbidden, bloberror.InsufficientAccountPermissions: forbidden, bloberror.AccountIsDisabled: forbidden,
	bloberror.ServerBusy: unreachable, bloberror.InternalError: unreachable, bloberror.OperationTimedOut: unreachable,
}

// explainAzure knows the errors of Azure.
func explainAzure(err error) fault {
	if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		return fault{kind: unknownUser, text: "no credentials were accepted", err: e}
	}
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return fault{}
	}
	f := fault{kind: azureKinds[bloberror.Code(answer.ErrorCode)], text: fmt.Sprintf("status %d: %s", answer.StatusCode, answer.ErrorCode)}
	if f.kind != other {
		return f
	}
	switch {
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		f.kind = forbidden
	case answer.StatusCode == http.StatusNotFound:
		f.kind = notFound
	case answer.StatusCode == http.StatusPreconditionFailed:
		f.kind = exists
	case answer.StatusCode >= http.StatusInternalServerError:
		f.kind = unreachable
	}
	return f
}
