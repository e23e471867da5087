const url = 'https://example.com/v1/users/2489E9AD-2EE2-8E00-8EC9-32D5F69181C0';
const options = {
 method: 'PUT',
 headers: {
 'X-Tenant-ID': '2489E9AD-2EE2-8E00-8EC9-32D5F69181C0',
 Authorization: 'Bearer <token>',
 'Content-Type': 'application/json'
 },
 body: '{"name":"example","roles":["user"]}'
};
try {
 const response = await fetch(url, options);
 const data = await response.json();
 console.log(data);
} catch (error) {
 console.error(error);
}
